"""README.txt of a bundle: four commands with which a stranger checks it, in English and Japanese."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.evidence import layout
from recorderd.store.signing import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recorderd.evidence.part import LedgerPart

_FILES = "sha256sum -c --strict MANIFEST.sha256"
_KEY = "openssl pkey -pubin -in device.pem -outform DER | sha256sum"
_LIST = (
    "openssl pkeyutl -verify -pubin -inkey device.pem -rawin -in MANIFEST.sha256 "
    "-sigfile MANIFEST.sig"
)


def readme_text(parts: Mapping[str, LedgerPart], pem: str, *, has_sealed: bool) -> str:
    """The whole file. `parts` are the calls' by their folder in the bundle; "" is the bundle itself."""
    fourth = _fourth(parts, fingerprint_of(pem))
    stamped = [folder for folder, part in parts.items() if part.stamp]
    several, several_ja = (_SEVERAL, _SEVERAL_JA) if "" not in parts else ("", "")
    commands = {"files": _FILES, "key": _KEY, "list": _LIST, "fourth": fourth}
    english = _ENGLISH.format(several=several, **commands)
    japanese = _JAPANESE.format(several=several_ja, **commands)
    if stamped:
        place = f"{stamped[0]}/" if stamped[0] else ""
        english += _STAMP.format(place=place)
        japanese += _STAMP_JA.format(place=place)
    if has_sealed:
        english += _SEALED
        japanese += _SEALED_JA
    if any(part.checkpoint is None for part in parts.values()):
        english += _UNSIGNED
        japanese += _UNSIGNED_JA
    return f"{english}\n{'=' * 78}\n\n{japanese}"


def _fourth(parts: Mapping[str, LedgerPart], device: str) -> str:
    """The check of the ledger's checkpoints: of one call, or of each in turn."""
    keys = {
        folder: "device.pem"
        if part.checkpoint.fingerprint == device
        else f"{folder}/{layout.CHECKPOINT_KEY}".lstrip("/")
        for folder, part in parts.items()
        if part.checkpoint is not None
    }
    command = "openssl pkeyutl -verify -pubin -inkey {key} -rawin -in {at} -sigfile {signature}"
    if list(keys) == [""]:
        return command.format(key=keys[""], at=layout.NOTE, signature=layout.NOTE_SIGNATURE)
    key = "$(test -e $d/checkpoint.pem && echo $d/checkpoint.pem || echo device.pem)"
    if set(keys.values()) <= {"device.pem"}:
        key = "device.pem"
    each = command.format(key=key, at="$d/checkpoint.txt", signature="$d/checkpoint.sig")
    return f"for d in */ledger; do {each} || echo FAILED $d; done"


_SEVERAL = "It holds several calls, each in a folder of its own. In that folder:\n"
_SEVERAL_JA = "複数の通話が、それぞれのフォルダーに入っています。各フォルダーの中で、\n"

_ENGLISH = """\
EVIDENCE BUNDLE OF A CALL RECORDER (recorderd)

{several}Open report.html first: it shows what was recorded. joined.wav is a copy of the sound for listening
(left: our side, right: the line); segments/ has the files as they were recorded; call.json is the
call's record, and amend-*.json, where there are some, are later corrections of it.

TO CHECK IT, offline, in this folder, with sha256sum and openssl (3.0 or newer) alone:

1. Is every file the one in the list?   Each line must say OK.

    {files}

2. Whose key is it?   Compare the result with the fingerprint noted when the recorder was installed.

    {key}

3. Did that key sign the list?   It must say: Signature Verified Successfully

    {list}

4. Did the recorder's ledger sign behind this call?   It must say: Signature Verified Successfully

    {fourth}

On a Mac: shasum -a 256 instead of sha256sum (without --strict), and OpenSSL from Homebrew
(openssl@3); the openssl that comes with macOS does not know this kind of key.

WHAT THIS PROVES
1 and 3: nothing in the list was altered and nothing in it is missing since the bundle was made by the
   holder of the key. A file that is not in the list proves nothing.
2: that the key is the recorder's, if the fingerprint was noted by somebody you trust.
4: that the ledger was signed up to the line named "head" in checkpoint.txt. ledger/chain.jsonl has the
   lines: each names the SHA-256 of the line before it ("prev"), and the line "call-closed" names the
   SHA-256 of call.json. Lines of other calls are among them; they hold ids and hashes only.

WHAT IT DOES NOT PROVE
Who spoke, or that it is true. That the clock was right (see report.html). That there was no other call.
That nobody who had both the recorder and its key made everything anew: against that, keep a
checkpoint elsewhere, or have it time-stamped.

`recorderd verify` does all this at once, decodes the sound, and checks the lines of the ledger too.
"""

_JAPANESE = """\
通話録音装置(recorderd)の証拠一式

{several}まず report.html をご覧ください。joined.wav は聴取用の複製(左: 自分側、右: 相手側)、segments/ は録音時の
元ファイル、call.json は通話の記録、amend-*.json(ある場合)は後日の補正です。

確認方法(オフラインで、このフォルダー内で、sha256sum と openssl 3.0 以上だけを使います)

1. 各ファイルは一覧のとおりか。すべての行に OK と表示されること。

    {files}

2. 誰の鍵か。結果を、装置の設置時に控えた指紋と照合してください。

    {key}

3. その鍵で一覧に署名したか。Signature Verified Successfully と表示されること。

    {list}

4. この通話の後に、録音装置の台帳が署名されているか。同じ表示になること。

    {fourth}

Mac では sha256sum の代わりに shasum -a 256 を(--strict なしで)、openssl は Homebrew の openssl@3 をお使い
ください。macOS 付属の openssl はこの種類の鍵に対応していません。

証明されること
1と3: 鍵の持ち主が書き出して以後、一覧にあるものは変更も欠落もないこと。一覧にないファイルは何も証明しません。
2: 信頼できる人が控えた指紋と一致すれば、鍵が録音装置のものであること。
4: checkpoint.txt の head が示す行まで台帳が署名されていること。ledger/chain.jsonl の各行は前の行の SHA-256
   (prev)を含み、call-closed の行は call.json の SHA-256 を含みます。他の通話の行もありますが、識別番号と
   ハッシュ値だけです。

証明されないこと
話者が誰か、内容が真実か。時計が正しかったか(report.html 参照)。他に通話がなかったこと。装置と鍵の両方を手に
した者が全てを作り直していないこと(対策: チェックポイントを別の場所に保管する、またはタイムスタンプを取得する)。

`recorderd verify` はこれらを一度に行い、音声の復号と台帳の各行の検査もします。
"""

_STAMP = """
There is a time stamp of an outside authority (RFC 3161) over a checkpoint at or behind the call. With
the authority's certificate (authority.pem):

    openssl ts -verify -data {place}ledger/timestamp.txt -in {place}ledger/timestamp.tsr -CAfile authority.pem
"""
_STAMP_JA = """
外部の時刻認証局によるタイムスタンプ(RFC 3161)があります。認証局の証明書(authority.pem)を用意して:

    openssl ts -verify -data {place}ledger/timestamp.txt -in {place}ledger/timestamp.tsr -CAfile authority.pem
"""
_SEALED = """
The sound of a call with a file key.age is sealed. Whoever has a supervisor's identity (supervisor.key)
opens it with the stock tool age:

    age -d -i supervisor.key key.age > call.key
    age -d -i call.key segments/NAME.flac.age > NAME.flac
"""
_SEALED_JA = """
key.age のある通話の音声は暗号化されています。責任者の鍵(supervisor.key)があれば、標準の age で復号できます。

    age -d -i supervisor.key key.age > call.key
    age -d -i call.key segments/NAME.flac.age > NAME.flac
"""
_UNSIGNED = """
NOTE: the ledger was not signed yet behind the last entry of this call when the bundle was made; step 4
cannot be done for it. Ask for another export.
"""
_UNSIGNED_JA = """
注意: 書き出しの時点で、この通話の後の台帳はまだ署名されていませんでした(手順4は行えません)。再度の書き出しを
依頼してください。
"""
