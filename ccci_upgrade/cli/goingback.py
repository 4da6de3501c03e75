"""`rollback` and `snapshot restore`: one flow, two ways to say where to."""

from ccci_upgrade.cli import again, commands
from ccci_upgrade.errors import Exit
from ccci_upgrade.flows.rollback import BackRequest, go_back
from ccci_upgrade.ui import documents, envelope
from ccci_upgrade.ui.prompt import prompter


def go(shared: commands.Shared, request: BackRequest) -> Exit:
    """Run it; what holds it is told with the whole command that would go on."""

    def work(call: commands.Call) -> Exit:
        person = prompter(call.terminal, no_input=call.no_input)
        result = go_back(commands.open_for(call), request, reporter=call.terminal, prompter=person)
        if result.error is not None:
            call.terminal.error(result.error)
        call.terminal.refused(result.runs, result.plans)
        if call.json and result.exit is not Exit.INTERRUPTED:
            errors = [result.error] if result.error else []
            envelope.write(request.command, result.exit, documents.upgrade(result), errors)
        if result.exit is Exit.HELD:
            said = {"json": call.json, "no_input": call.no_input}
            call.terminal.last_word(again.back(call.options, request, result.plans, **said))
        return result.exit

    return commands.run_command(request.command, shared, {"runs": [], "plans": []}, work)
