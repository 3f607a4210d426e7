"""What the bot can be asked: one table of commands, each with its arguments, its help line and who answers.

The law: the answer is made of what is stored, at the moment of asking; wrong arguments are answered with one line of
usage, and an unknown command with the nearest one.
"""

from __future__ import annotations

from dataclasses import replace

from core.errors import UsageError, nearest
from core.jobs import _tell_lists, _tell_people, _tell_results, _tell_state
from core.jobs._asking import Ask, Command, Reply
from core.results.bot import titled
from core.results.explain import DISCLAIMER, escaped

__all__ = ["COMMANDS", "reply_to"]

_TABLE = (
    Command("status", "", "what runs, and whether it keeps up", _tell_state.status),
    Command("signals", "[n]", "the newest signals that passed", _tell_lists.signals),
    Command("open", "", "open positions and waiting orders", _tell_lists.opened),
    Command("trades", "[n]", "the newest finished trades", _tell_lists.trades),
    Command("balance", "", "the paper account", _tell_results.balance),
    Command("daily", "", "the last 24 hours in figures", _tell_results.daily),
    Command("weekly", "", "the last 7 days in figures", _tell_results.weekly),
    Command("performance", "", "the whole record in figures", _tell_results.performance),
    Command("why", "ID", "why a signal was decided as it was", _tell_lists.why),
    Command("whynot", "PAIR TF", "why the newest close has no signal", _tell_lists.whynot),
    Command("funnel", "", "from closes to won trades", _tell_results.funnel_told),
    Command("reliability", "", "whether stated probabilities came true", _tell_results.reliability_told),
    Command("model", "", "the model in force and its evidence", _tell_state.model),
    Command("health", "", "what is wrong, if anything", _tell_state.health),
    Command("taken", "ID [price]", "note that you took a signal", _tell_people.taken),
    Command("skipped", "ID", "note that you did not", _tell_people.skipped),
    Command("mute", "PAIR [h]", "no new signals of a pair, for 24 hours or h", _tell_people.mute),
    Command("unmute", "[PAIR]", "hear of a pair again, or of all", _tell_people.unmute),
)


def _help(ask: Ask) -> Reply:
    lines = [f"{escaped(command.usage)}: {command.told}" for command in COMMANDS.values() if command.name != "start"]
    return Reply(titled("Commands", [*lines, "", DISCLAIMER], ask.moment))


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (*_TABLE, Command("help", "", "this list", _help), Command("start", "", "the same", _help))
}
"""By name, in the order in which they are listed."""


def reply_to(ask: Ask) -> Reply | None:
    """Return the answer to a text; None where it is no command and was not said to the bot.

    Parameters
    ----------
    ask : Ask

    Raises
    ------
    TraderError
        What was asked for cannot be told; its line is the answer.
    """
    first, *words = ask.text.split()
    if not first.startswith("/"):
        return Reply("I answer commands: /help lists them.") if ask.private else None
    name = first[1:].lower()
    command = COMMANDS.get(name)
    if command is None:
        hint = nearest(f"/{name}", [f"/{known}" for known in COMMANDS])
        if not ask.private and not hint.startswith("did"):
            return None  # another bot's, in a group
        raise UsageError(f"no command /{name[:30]}; " + (hint if hint.startswith("did") else "/help lists them"))
    least, most = command.takes
    if not least <= len(words) <= most:
        raise UsageError(f"expected {command.usage}: {command.told}")
    return command.answer(replace(ask, words=tuple(words)))
