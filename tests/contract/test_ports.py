"""Host-mode ports: one holder at a time, and a start-first update that waits for itself."""

import time

from tests.contract.jsontree import rows, text, tree
from tests.contract.lab import Lab
from tests.contract.specs import NEW

TAKEN = "no suitable node (host-mode port already in use on 1 node)"


def test_the_app_answers_at_its_port(lab: Lab) -> None:
    """With its version; after a stop-first update with the new one; and a stopped one does not."""
    port = lab.free_port()
    lab.start("app", port=port)
    lab.until(lambda: lab.reach(port, "/ping") == (200, "OK"), "it answers")
    assert '"3.0.0"' in lab.reach(port, "/api/version")[1]
    assert lab.reach(port, "/nowhere")[0] == 404
    published = rows(tree(lab.running("app")[0], "Status", "PortStatus").get("Ports"))
    # Once for each address family it listens on.
    assert {"Protocol": "tcp", "TargetPort": 8080, "PublishedPort": port, "PublishMode": "host"} in published
    lab.change("app", port=port, image=NEW)
    lab.until(lambda: '"3.0.1"' in lab.reach(port, "/api/version")[1], "the new one answers")
    lab.change("app", port=port, image=NEW, replicas=0)
    lab.until(lambda: lab.reach(port, "/ping") == (0, ""), "nothing answers")


def test_a_start_first_update_waits_for_its_own_port(lab: Lab) -> None:
    """`updating` stays, the old task runs on, the new one is `pending`, and no failure action fires."""
    port = lab.free_port()
    how = {"port": port, "order": "start-first", "on_failure": "rollback", "monitor": 0.2}
    with lab.watch() as seen:
        lab.start("app", **how)
        lab.change("app", **how, image=NEW)
        lab.until(lambda: text(lab.tasks("app")[-1], "Status", "Err") == TAKEN, "it waits")
        time.sleep(1.5)
        waiting = lab.tasks("app")[-1]

    assert seen.updates("app") == ["null", "updating"]
    assert seen.tasks("app") == ["v3.0.0 running"]
    assert text(waiting, "Status", "State") == "pending"
    assert text(waiting, "DesiredState") == "running"
    assert text(waiting, "Status", "Message") == "pending task scheduling"


def test_two_services_at_one_port(lab: Lab) -> None:
    """The second is created and waits; when the first goes, it runs."""
    port = lab.free_port()
    lab.start("one", port=port)
    lab.create("two", port=port)
    lab.until(lambda: [text(t, "Status", "Err") for t in lab.tasks("two")] == [TAKEN], "the second waits")
    assert text(lab.tasks("two")[0], "Status", "State") == "pending"
    lab.remove("one")
    lab.settled("two")
    assert len(lab.tasks("two")) == 1
