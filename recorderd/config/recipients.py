"""Is a text an age recipient? Told without the library that encrypts to it.

A recipient is 32 bytes in Bech32 (BIP 173) under the name "age" (age specification, "The X25519
recipient type"): five bits a letter, the last six letters a checksum, which finds every slip of up
to four letters.
"""

from __future__ import annotations

_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_NAME = "age"
_KEY_LETTERS = 52  # 256 bits and four of padding
_CHECK_LETTERS = 6
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def is_recipient(text: str) -> bool:
    """Whether `text` is an age X25519 recipient in small letters, its checksum right."""
    name, _, letters = text.partition("1")
    if name != _NAME or len(letters) != _KEY_LETTERS + _CHECK_LETTERS:
        return False
    values = [_LETTERS.find(letter) for letter in letters]
    has_padding_of_zeros = values[_KEY_LETTERS - 1] & 0b1111 == 0
    return -1 not in values and has_padding_of_zeros and _checksum(values) == 1


def _checksum(values: list[int]) -> int:
    """BIP 173, "Checksum": the name's high bits, a zero, its low bits, then the letters."""
    codes = [ord(letter) for letter in _NAME]
    check = 1
    for value in [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes), *values]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, factor in enumerate(_GENERATOR):
            check ^= factor if top >> bit & 1 else 0
    return check
