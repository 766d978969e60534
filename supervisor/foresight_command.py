"""The command `foresee`: where a sworm's strategy wants names now, and whether one can be used here at all.

Law: nothing changes. The node answers from what it knows; only a user's own strategy is asked outside of it, within
seconds.
"""

from __future__ import annotations

from registry.core.ids import check_name
from supervisor.command import BadCommand, Command
from supervisor.core.events import Foresee, Reply
from supervisor.core.spec import Definition
from supervisor.wishes import Wishing

#: Names of one command.
MOST = 1_000


def foresee(owner: Wishing, command: Command) -> None:
    """Ask the node, and answer the command when it replies: a list of nodes, one for each name."""
    names = command.field("names", list)
    if len(names) > MOST:
        raise BadCommand(f"names are {len(names)}, at most {MOST} are asked about at once")
    request = f"f/{command.id}"

    def then(reply: Reply) -> None:
        if reply.result == "done":
            command.done(list(reply.nodes))
        else:
            command.refuse(reply.problem or reply.result, reply.detail)

    checked = tuple(check_name(name) for name in names)
    event = Foresee(request, command.sworm, checked, str(command.fields.get("without") or ""), _trial(command))
    owner.expect(request, then)
    owner.enter(event)


def _trial(command: Command) -> Definition | None:
    fields = command.fields.get("trial")
    if fields is None:
        return None
    if not isinstance(fields, dict):
        raise BadCommand("trial must be a map")
    strategy, modules = fields.get("distribution_strategy"), fields.get("allowed_modules")
    if not isinstance(strategy, str) or not isinstance(modules, list | tuple):
        raise BadCommand("trial must have distribution_strategy, text, and allowed_modules, a list")
    return Definition(
        command.sworm, distribution_strategy=strategy, allowed_modules=tuple(str(module) for module in modules)
    )
