"""Telephone numbers as people search for them: what matches, and the keys by which it is found.

A number is kept as it was received. Two forms of it are one to a person: punctuation does not count,
and the international form (+81 3 1234 5678) and the national one (03-1234-5678) are the same call
back. Which country code a number has cannot be told without a table of all of them; codes have one
to three digits (ITU-T E.164, section 6.1), so an international number is known under what is left
behind each of the three.

An index cannot ask `numbers_match` of every row, so each number is kept under a few keys, and a
search looks under a few. Where the number itself is there the match is asked of what was found;
where only keyed hashes of the keys are there, the keys decide.
"""

from __future__ import annotations

from functools import lru_cache

LAST_DIGITS = 4
"""What people remember; a shorter query would match by chance."""

NATIONAL_DIGITS_MIN = 7
"""A number this long may be the national form of an international one."""

COUNTRY_CODE_DIGITS_MAX = 3


@lru_cache(maxsize=1024)
def dialable(number: str) -> str:
    """What of a number can be dialled: its digits, letters and signs, without punctuation.

    A search asks it of one number again and again, and of the same few callers.
    """
    return "".join(char for char in number.upper() if char.isalnum() or char in "+*#")


def numbers_match(stored: str | None, asked: str) -> bool:
    """Whether a stored number is the one asked for.

    It is when the digits are the same, or end with the digits asked for (at least 4), or when one
    is the international form and the other the national one.
    """
    have, want = dialable(stored or ""), dialable(asked)
    if not have or not want:
        return False
    if have == want:
        return True
    have_digits, want_digits = have.lstrip("+"), want.lstrip("+")
    if len(want_digits) >= LAST_DIGITS and have_digits.endswith(want_digits):
        return True
    if have.startswith("+") == want.startswith("+"):
        return False
    national = (want if have.startswith("+") else have).lstrip("0")
    international = have_digits if have.startswith("+") else want_digits
    return len(national) >= NATIONAL_DIGITS_MIN and international.endswith(national)


def index_keys(number: str) -> frozenset[str]:
    """The keys under which a stored number is found: as it is, in its national form, by its end."""
    have = dialable(number)
    if not have:
        return frozenset()
    keys = {f"={have}"} | {f"n{national}" for national in _national(have)}
    digits = have.lstrip("+")
    if len(digits) >= LAST_DIGITS:
        keys.add(f"l{digits[-LAST_DIGITS:]}")
    return frozenset(keys)


def search_keys(asked: str) -> frozenset[str]:
    """Where to look for a number that has been taken out of its record.

    A number is stored under one of these keys if it is the same, in either form, or if the last
    four digits are all that was asked for.
    """
    if is_narrow_key_all(asked):
        return frozenset({narrow_key(asked)})
    want = dialable(asked)
    return frozenset({f"={want}"} | {f"n{national}" for national in _national(want)})


def narrow_key(asked: str) -> str:
    """A key under which every stored number lies that `numbers_match`, among few others."""
    want = dialable(asked)
    digits = want.lstrip("+")
    return f"l{digits[-LAST_DIGITS:]}" if len(digits) >= LAST_DIGITS else f"={want}"


def is_narrow_key_all(asked: str) -> bool:
    """Whether every number under the narrow key is a match: no more was asked for than it holds."""
    return len(dialable(asked).lstrip("+")) <= LAST_DIGITS


def _national(number: str) -> frozenset[str]:
    """What the number may be without country code and without the zeros in front."""
    if number.startswith("+"):
        ends = {number[1 + cut :] for cut in range(1, COUNTRY_CODE_DIGITS_MAX + 1)}
    else:
        ends = {number.lstrip("0")}
    return frozenset(end for end in ends if len(end) >= NATIONAL_DIGITS_MIN)
