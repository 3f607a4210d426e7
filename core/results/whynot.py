"""Why there was no signal at a close, in words.

The law: what stands in the way is told first, each with what to do about it; then what each rule had its eye on and
what that lacked, with the measured value and what was needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.clock import format_ms
from core.ports import NoCandidate
from core.results._phrases import Moment, escaped, stamp

__all__ = ["Looked", "Silence", "decided_words", "whynot_words"]


@dataclass(frozen=True, slots=True)
class Looked:
    """What one setup says of a close.

    Parameters
    ----------
    setup : str
    refused : tuple of NoCandidate or None
        None where the setup cannot say.
    found : tuple of str
        In words, the candidates it finds at this close that are not on record.
    """

    setup: str
    refused: tuple[NoCandidate, ...] | None
    found: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Silence:
    """Why a close has no candidate on record.

    Parameters
    ----------
    symbol, timeframe : str
    close_ms : int
        0 where there is no close to ask about.
    obstacles : tuple of str
        What stands in the way of a scan, each with what to do.
    looked : tuple of Looked
    """

    symbol: str
    timeframe: str
    close_ms: int
    obstacles: tuple[str, ...]
    looked: tuple[Looked, ...]


def whynot_words(silence: Silence, moment: Moment) -> str:
    """Explain a close without a candidate.

    Parameters
    ----------
    silence : Silence
    moment : Moment

    Returns
    -------
    str
        HTML.
    """
    at = f", close of {format_ms(silence.close_ms, moment.zone)}" if silence.close_ms else ""
    head = f"{stamp(moment)}<b>{escaped(f'{silence.symbol} {silence.timeframe}')}{at}: no signal</b>"
    return "\n".join([head, *map(escaped, silence.obstacles), *_looked(silence.looked)])


def decided_words(close_ms: int, explained: Sequence[str], moment: Moment) -> str:
    """Say that there was a candidate at a close after all, above its explanation; HTML."""
    head = f"{stamp(moment)}There was a candidate at the close of {format_ms(close_ms, moment.zone)}."
    return "\n\n".join([head, *explained])


def _looked(looked: Sequence[Looked]) -> Iterator[str]:
    for one in looked:
        yield ""
        setup = escaped(one.setup)
        for words in one.found:
            yield f"{setup} finds a candidate here that is not on record: {escaped(words)}"
        if one.refused is None:
            yield f"{setup} found nothing, and cannot say why."
        elif one.refused:
            yield f"{setup} found nothing{' else' if one.found else ''}:"
            yield from (f"  {escaped(thing.what)}: {escaped('; '.join(thing.lacks))}." for thing in one.refused)
