"""One function a command: configuration → flow → text or document → exit code."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade.cli import again
from ccci_upgrade.cli.boundary import fail, guarded
from ccci_upgrade.config import Config, read_config
from ccci_upgrade.errors import Exit
from ccci_upgrade.ui.console import Terminal

if TYPE_CHECKING:
    from ccci_upgrade.flows.host import Host
    from ccci_upgrade.flows.resume import EndRequest
    from ccci_upgrade.flows.upgrade import Request
    from ccci_upgrade.flows.upgraderun import OnFailure
    from ccci_upgrade.model.lease import Claim
    from ccci_upgrade.ui.prompt import Nobody, Person

Shared = tuple[Path | None, str | None, bool, bool]
"""`--config`, `--server`, `--json`, `--no-input`."""

_NO_LEASE: dict[str, object] = {"config": None, "state": None, "age": None, "why": None, "claim": None}
_KEPT: dict[str, object] = {"released": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call of a command: its configuration, server, and where its results go."""

    config: Config
    server: str | None
    json: bool
    terminal: Terminal
    options: tuple[str, ...]
    no_input: bool
    opened: ExitStack

    @property
    def may_ask(self) -> bool:
        """Whether ssh may ask somebody for what it needs."""
        from ccci_upgrade.ui.prompt import at_terminal  # noqa: PLC0415 - start-up time is measured

        return not self.no_input and at_terminal()


def status(shared: Shared, *, exit_code: bool, offline: bool) -> Exit:
    """`status`."""

    def work(call: Call) -> Exit:
        from ccci_upgrade.flows.status import read_status  # noqa: PLC0415 - start-up time is measured

        found = read_status(call.config, call.server, offline=offline, may_ask=call.may_ask)
        code = Exit.NOT_READY if found.errors else Exit.OK
        if exit_code and code is Exit.OK and any(row.upgrades for row in found.apps):
            code = Exit.UPGRADES
        if call.json:
            from ccci_upgrade.ui import documents, envelope  # noqa: PLC0415 - start-up time is measured

            envelope.write("status", code, documents.status(found), found.errors)
        else:
            from ccci_upgrade.ui import tables  # noqa: PLC0415 - start-up time is measured

            call.terminal.show(tables.status(found))
        for error in found.errors:
            call.terminal.error(error)
        return code

    empty: dict[str, object] = {"apps": [], "leases": [], "open_runs": [], "damaged_lines": 0, "lock": None}
    return _run("status", shared, empty, work)


def notes(shared: Shared, names: tuple[str, ...], *, to: str | None, offline: bool) -> Exit:
    """`notes`."""

    def work(call: Call) -> Exit:
        from ccci_upgrade.flows.notes import read_app_notes  # noqa: PLC0415 - start-up time is measured

        found = read_app_notes(call.config, call.server, names, to=to, offline=offline, may_ask=call.may_ask)
        if call.json:
            from ccci_upgrade.ui import documents, envelope  # noqa: PLC0415 - start-up time is measured

            envelope.write("notes", Exit.OK, documents.notes(found))
        else:
            from ccci_upgrade.ui import tables  # noqa: PLC0415 - start-up time is measured

            call.terminal.show(tables.notes(found))
        return Exit.OK

    return _run("notes", shared, {"apps": []}, work)


def plan_request(apps: tuple[str, ...], *, to: str | None, acks: tuple[str, ...], offline: bool) -> "Request":
    """What `plan` asks of the planning half of `upgrade`; without apps, all of the server."""
    from ccci_upgrade.flows.upgrade import Request  # noqa: PLC0415 - start-up time is measured

    return Request(apps=apps, every=not apps, to=to, acks=acks, dry_run=True, offline=offline)


def plan(shared: Shared, request: "Request", *, out: Path | None) -> Exit:
    """`plan`."""

    def work(call: Call) -> Exit:
        from ccci_upgrade.errors import UsageError  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.flows.upgrade import plan_apps  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.store.saved_plan import write_saved  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.ui import envelope  # noqa: PLC0415 - start-up time is measured

        plans = [each.plan for each in plan_apps(_host(call), request)]
        if out is not None:
            if len(plans) != 1 or plans[0].to_version is None:
                raise UsageError(
                    "`--out` saves the plan of one app that has something to do", hint="name one app"
                )
            write_saved(out, envelope.plan_json(plans[0]))
        if call.json:
            envelope.write("plan", Exit.OK, {"plans": [envelope.plan_json(each) for each in plans]})
        else:
            from ccci_upgrade.ui import tables  # noqa: PLC0415 - start-up time is measured

            for each in plans:
                call.terminal.plan(each)
            call.terminal.show(tables.after_plans(plans))
        return Exit.OK

    return _run("plan", shared, {"plans": []}, work)


def upgrade(shared: Shared, request: "Request") -> Exit:
    """`upgrade`."""

    def work(call: Call) -> Exit:
        from ccci_upgrade.flows.deadruns import OpenRunError  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.flows.resume import EndRequest  # noqa: PLC0415 - same
        from ccci_upgrade.flows.upgrade import chosen_by  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.flows.upgrade import upgrade as flow  # noqa: PLC0415 - same
        from ccci_upgrade.store.saved_plan import read_saved  # noqa: PLC0415 - same
        from ccci_upgrade.ui import documents, envelope  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.ui.prompt import NobodyChoseError, prompter  # noqa: PLC0415 - start-up time is measured

        if request.plan_file is not None:
            read_saved(request.plan_file)  # a file that is no plan is told before any server is asked
        host = _host(call)
        person = prompter(call.terminal, no_input=call.no_input)
        said = {"json": call.json, "no_input": call.no_input}
        try:
            chosen = chosen_by(host, request, person)
        except NobodyChoseError as error:
            code = fail("upgrade", call.terminal, error, json=call.json, empty={"runs": []})
            call.terminal.last_word(again.name_apps(call.options, request, error.apps, **said))
            return code
        try:
            result = flow(host, chosen, reporter=call.terminal, prompter=person)
        except OpenRunError as error:
            way = person.end(error.situation)
            if way is None:
                raise
            run = error.situation.open.run
            return _end(call, host, EndRequest(way=way, app=run.app, on_failure=request.on_failure), person)
        if result.error is not None:
            call.terminal.error(result.error)
        call.terminal.refused(result.runs, result.plans)
        if call.json:
            errors = [result.error] if result.error else []
            if result.exit is not Exit.INTERRUPTED:
                envelope.write("upgrade", result.exit, documents.upgrade(result), errors)
        if result.exit is Exit.HELD:
            call.terminal.last_word(again.go_on(call.options, chosen, result.plans, **said))
        return result.exit

    return _run("upgrade", shared, {"runs": [], "plans": []}, work)


def end_request(
    ways: list[str],
    apps: tuple[str, ...],
    *,
    on_failure: "OnFailure | None",
    lease_wait: float,
    offline: bool,
) -> "EndRequest":
    """What ends an open run: exactly one way, and at most one app."""
    from ccci_upgrade.flows.resume import EndRequest  # noqa: PLC0415 - start-up time is measured
    from ccci_upgrade.model.openrun import Way  # noqa: PLC0415 - same

    if len(ways) > 1 or len(apps) > 1:
        import typer  # noqa: PLC0415 - same

        raise typer.BadParameter("say one of --resume, --undo and --accept, and name one app")
    return EndRequest(
        way=Way(ways[0]),
        app=apps[0] if apps else None,
        on_failure=on_failure,
        lease_wait=lease_wait,
        offline=offline,
    )


def end_open(shared: Shared, request: "EndRequest") -> Exit:
    """`upgrade --resume`, `--undo`, `--accept`."""

    def work(call: Call) -> Exit:
        from ccci_upgrade.ui.prompt import prompter  # noqa: PLC0415 - start-up time is measured

        return _end(call, _host(call), request, prompter(call.terminal, no_input=call.no_input))

    return _run("upgrade", shared, {"runs": [], "plans": []}, work)


def _end(call: Call, host: "Host", request: "EndRequest", person: "Nobody | Person") -> Exit:
    from ccci_upgrade.flows.resume import end_open_run  # noqa: PLC0415 - start-up time is measured
    from ccci_upgrade.ui import documents, envelope  # noqa: PLC0415 - same

    result = end_open_run(host, request, reporter=call.terminal, prompter=person)
    if result.error is not None:
        call.terminal.error(result.error)
    call.terminal.refused(result.runs, result.plans)
    if call.json and result.exit is not Exit.INTERRUPTED:
        errors = [result.error] if result.error else []
        envelope.write("upgrade", result.exit, documents.upgrade(result), errors)
    return result.exit


def health(shared: Shared, names: tuple[str, ...]) -> Exit:
    """`health`."""

    def work(call: Call) -> Exit:
        from ccci_upgrade.flows.health import read_health  # noqa: PLC0415 - start-up time is measured

        host = _host(call)
        found, code = read_health(host, host.find(names) if names else host.apps)
        if call.json:
            from ccci_upgrade.ui import documents, envelope  # noqa: PLC0415 - start-up time is measured

            envelope.write("health", code, documents.health(found))
        else:
            from ccci_upgrade.ui import tables  # noqa: PLC0415 - start-up time is measured

            call.terminal.show(tables.health(found))
        return code

    return _run("health", shared, {"apps": []}, work)


def history(shared: Shared, names: tuple[str, ...], *, limit: int) -> Exit:
    """`history`."""

    def work(call: Call) -> Exit:
        from ccci_upgrade.flows.history import read_history  # noqa: PLC0415 - start-up time is measured

        runs, reading = read_history(call.config, names, limit=limit)
        if call.json:
            from ccci_upgrade.ui import documents, envelope  # noqa: PLC0415 - start-up time is measured

            envelope.write("history", Exit.OK, documents.history(runs, reading.damaged))
        else:
            from ccci_upgrade.ui import tables  # noqa: PLC0415 - start-up time is measured

            call.terminal.show(tables.history(runs))
        if reading.damaged:
            call.terminal.note(f"{reading.damaged} journal line(s) cannot be read and were passed over")
        return Exit.OK

    return _run("history", shared, {"runs": [], "damaged_lines": 0}, work)


def doctor(shared: Shared) -> Exit:
    """`doctor`."""

    def work(call: Call) -> Exit:
        from ccci_upgrade.flows.doctor import read_doctor  # noqa: PLC0415 - start-up time is measured

        checks, code = read_doctor(call.config, call.server, may_ask=call.may_ask)
        if call.json:
            from ccci_upgrade.ui import documents, envelope  # noqa: PLC0415 - start-up time is measured

            envelope.write("doctor", code, documents.doctor(checks))
        else:
            from ccci_upgrade.ui import tables  # noqa: PLC0415 - start-up time is measured

            call.terminal.show(tables.doctor(checks))
        return code

    return _run("doctor", shared, {"checks": []}, work)


def run_command(command: str, shared: Shared, empty: dict[str, object], work: Callable[[Call], Exit]) -> Exit:
    """Run a command that is defined elsewhere."""
    return _run(command, shared, empty, work)


def open_for(call: Call) -> "Host":
    """Open the server of a call; it is closed with the call."""
    return _host(call)


def lease_show(shared: Shared, command: str) -> Exit:
    """`lease` and `lease show`."""

    def work(call: Call) -> Exit:
        from ccci_upgrade.flows.lease import foreign, look_at_lease  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.model.lease import LeaseState  # noqa: PLC0415 - same
        from ccci_upgrade.ui import lease  # noqa: PLC0415 - same

        seen = look_at_lease(_host(call).swarm)
        if seen.state is LeaseState.FOREIGN:
            return fail(command, call.terminal, foreign(seen), json=call.json, empty=lease.shown(seen))
        if call.json:
            from ccci_upgrade.ui import envelope  # noqa: PLC0415 - start-up time is measured

            envelope.write(command, Exit.OK, lease.shown(seen))
        else:
            call.terminal.show(lease.screen(seen))
        return Exit.OK

    return _run(command, shared, _NO_LEASE, work)


def lease_release(shared: Shared, *, holder: str | None) -> Exit:
    """`lease release`."""

    def work(call: Call) -> Exit:
        from ccci_upgrade.errors import DeclinedError, HeldError  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.flows.lease import look_at_lease, release_lease  # noqa: PLC0415 - same
        from ccci_upgrade.ui import envelope, lease  # noqa: PLC0415 - same
        from ccci_upgrade.ui.prompt import prompter  # noqa: PLC0415 - same

        swarm = _host(call).swarm
        person = prompter(call.terminal, no_input=call.no_input)

        def allowed(claim: "Claim") -> None:
            call.terminal.show_beside(lease.screen(look_at_lease(swarm)))
            if holder == claim.holder:
                return
            if holder is not None or not person.interactive:
                said = "nobody said that it may be released" if holder is None else f"not by {holder}"
                raise HeldError(f"the lease is held by {claim.holder}; {said}", hint="see below what goes on")
            if not person.release(claim.holder):
                raise DeclinedError("the lease was not released")

        try:
            done = release_lease(swarm, allowed=allowed)
        except HeldError as error:
            code = fail("lease release", call.terminal, error, json=call.json, empty=_NO_LEASE | _KEPT)
            now = look_at_lease(swarm).claim
            if now is not None:
                call.terminal.last_word(again.release(call.options, now.holder, json=call.json))
            return code
        if call.json:
            envelope.write("lease release", Exit.OK, lease.released(done))
        elif done.released:
            call.terminal.note("the lease is free now")
        else:
            call.terminal.show(lease.screen(done.before))
        return Exit.OK

    return _run("lease release", shared, _NO_LEASE | _KEPT, work)


def _run(command: str, shared: Shared, empty: dict[str, object], work: Callable[[Call], Exit]) -> Exit:
    config_file, server, json, no_input = shared
    options = again.options(config_file, server)
    terminal = Terminal(json=json, options=options)

    def whole() -> Exit:
        config = read_config(config_file)
        _say_open_runs(command, config, terminal)
        with ExitStack() as opened:
            call = Call(
                config=config,
                server=server,
                json=json,
                terminal=terminal,
                options=options,
                no_input=no_input,
                opened=opened,
            )
            return work(call)

    return guarded(command, terminal, json=json, empty=empty, work=whole)


def _say_open_runs(command: str, config: Config, terminal: Terminal) -> None:
    """Every command names a run that never ended; `doctor` has it among its checks."""
    if command == "doctor":
        return
    from ccci_upgrade.flows.history import open_run_lines  # noqa: PLC0415 - start-up time is measured
    from ccci_upgrade.store.journal import read_all  # noqa: PLC0415 - start-up time is measured

    for line in open_run_lines(read_all(config.state_dir)):
        terminal.note(line)


def _host(call: Call) -> "Host":
    from ccci_upgrade.flows.host import choose_server, open_host  # noqa: PLC0415 - start-up time is measured

    host = open_host(call.config, choose_server(call.config, call.server), may_ask=call.may_ask)
    call.opened.callback(host.close)
    return host
