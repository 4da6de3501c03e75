"""Images that a rollback needs: kept under a name of ours and by a container, found again, let go."""

import pytest

from ccci_upgrade.errors import CcciError
from ccci_upgrade.tools import images
from tests.contract.jsontree import rows, text, tree
from tests.contract.lab import Lab
from tests.contract.specs import NEW, OLD


def test_an_image_is_kept_until_it_is_let_go(lab: Lab) -> None:
    """Twice is once; each stack has its own; its container never runs and has no volume."""
    other = f"{lab.stack}.b"
    identity = text(lab.engine.get(f"/images/{OLD}/json"), "Id")
    made = [images.keep(lab.engine, OLD, stack=lab.stack, service="app") for _ in range(2)]
    second = images.keep(lab.engine, NEW, stack=lab.stack, service="db_1")
    images.keep(lab.engine, identity, stack=other, service="app")
    there = images.kept(lab.engine, lab.stack)
    keeper = made[0].tag.rpartition(":")[2]
    container = tree(lab.engine.get(f"/containers/ccci-upgrade-kept-{keeper}/json"))
    lab.engine.ask("DELETE", f"/containers/{text(container, 'Id')}")
    without_container = images.kept(lab.engine, lab.stack)
    images.keep(lab.engine, OLD, stack=lab.stack, service="app")
    lab.engine.ask("DELETE", f"/images/{made[0].tag}")
    without_tag = images.kept(lab.engine, lab.stack)
    for each in (*there, *images.kept(lab.engine, other)):
        images.let_go(lab.engine, each.tag)
        images.let_go(lab.engine, each.tag)

    assert made[0] == made[1]
    assert (made[0].image_id, made[0].tag.partition(":")[0]) == (identity, images.KEPT)
    assert there == without_container == without_tag == (made[0], second)
    assert text(container, "State", "Status") == "created"
    assert rows(container.get("Mounts")) == []
    assert images.kept(lab.engine, lab.stack) == images.kept(lab.engine, other) == ()
    assert lab.engine.ask("GET", f"/images/{OLD}/json").status == 200


def test_the_last_name_of_an_image_that_a_container_has_stays(lab: Lab) -> None:
    """409 for it alone; every other name can go."""
    kept = images.keep(lab.engine, NEW, stack=lab.stack, service="app")
    try:
        first = lab.engine.ask("DELETE", f"/images/{NEW}")
        last = lab.engine.ask("DELETE", f"/images/{kept.tag}")
        gone = lab.engine.ask("GET", f"/images/{NEW}/json").status
        back = images.restore_tag(lab.engine, kept.image_id, NEW)
    finally:
        lab.engine.ask(
            "POST",
            f"/images/{kept.image_id}/tag",
            {"repo": NEW.partition(":")[0], "tag": NEW.partition(":")[2]},
        )
        images.let_go(lab.engine, kept.tag)

    assert (first.status, last.status, gone, back) == (200, 409, 404, True)
    assert last.message.startswith(
        f'conflict: unable to remove repository reference "{kept.tag}" (must force) - container '
    )
    assert lab.engine.ask("GET", f"/images/{NEW}/json").status == 200


def test_a_name_comes_back_and_a_digest_does_not(lab: Lab) -> None:
    """An image under its old tag is found by it; by a digest that no registry gave here it is not."""
    name = f"{lab.stack}/old"
    identity = text(lab.engine.get(f"/images/{OLD}/json"), "Id")
    tagged = images.restore_tag(lab.engine, identity, f"{name}:v1")
    again = images.restore_tag(lab.engine, identity, f"{name}:v1")
    digest = images.restore_tag(lab.engine, identity, f"{name}:v2@sha256:{'0' * 64}")
    found = [lab.engine.ask("GET", f"/images/{name}:{tag}/json").status for tag in ("v1", "v2")]
    for tag in ("v1", "v2"):
        lab.engine.ask("DELETE", f"/images/{name}:{tag}")

    assert (tagged, again, digest, found) == (True, True, False, [200, 200])
    assert not images.restore_tag(lab.engine, identity, "no reference at all")


def test_what_is_not_here_cannot_be_kept(lab: Lab) -> None:
    """And a name that is none of ours is never removed."""
    with pytest.raises(CcciError) as caught:
        images.keep(lab.engine, "nothing:here", stack=lab.stack, service="app")
    with pytest.raises(CcciError):
        images.let_go(lab.engine, OLD)

    assert caught.value.code == "image-gone"
    assert images.kept(lab.engine, lab.stack) == ()
    assert lab.engine.ask("GET", f"/images/{OLD}/json").status == 200
