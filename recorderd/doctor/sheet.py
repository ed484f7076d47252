"""The acceptance sheet: one page in English and Japanese with all that was measured, for A4 and a pen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recorderd import __version__
from recorderd.doctor import words
from recorderd.doctor.words import sentence
from recorderd.evidence.report import POLICY, shown
from recorderd.evidence.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recorderd.doctor.guided import Visit
    from recorderd.doctor.outcome import Outcome

_OWN_STYLE = """
table{font-size:12px} td{padding:3px 12px 3px 0} td:first-child,td.verdict{white-space:nowrap}
.ok{color:var(--far)} .wrong{color:var(--warn);font-weight:650} td.values{color:var(--soft);overflow-wrap:anywhere}
.values i{font-style:normal} .values b{color:var(--ink);font-weight:400} .values span{margin-right:1em;display:inline-block}
.sign{display:grid;grid-template-columns:1fr 1fr;gap:28px;margin-top:44px;break-inside:avoid}
.sign div{border-top:1px solid var(--ink);padding-top:4px;color:var(--soft);font-size:12px}
ol{margin:0;padding-left:20px} li{margin:4px 0}
@page{margin:10mm 12mm}
@media print{body{font-size:8.5pt;line-height:1.35} header{padding-bottom:6px} section{margin-top:8px;break-inside:auto}
table,td,th,ol{font-size:7pt} td{padding:1px 8px 1px 0} li{margin:1px 0} h1{font-size:15pt} h2{font-size:10pt;margin-bottom:3px}
.facts>div{padding:3px 0} code{font-size:6.5pt}}
"""


@dataclass(frozen=True, slots=True)
class SheetFacts:
    """What the sheet says of the box. `fingerprint`: of its key; None: it has none yet."""

    site: str
    lines: tuple[str, ...]
    model: str
    fingerprint: str | None
    config: Path
    is_simulated: bool
    config_sha256: str


def sheet_page(visit: Visit, facts: SheetFacts) -> str:
    """The whole page; it needs no other file."""
    return "\n".join(_page(visit, facts)) + "\n"


def _page(visit: Visit, facts: SheetFacts) -> Iterator[str]:
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield f"<title>recorderd · acceptance · {shown(facts.site)}</title>"
    yield f"<style>{STYLE}{_OWN_STYLE}</style>\n</head>\n<body>"
    yield from _head(visit, facts)
    yield from _findings(visit)
    yield from _values(visit)
    yield '<div class="sign"><div>Installed by 設置者</div><div>Accepted by 検収者</div></div>'
    yield "</body>\n</html>"


def _head(visit: Visit, facts: SheetFacts) -> Iterator[str]:
    yield '<header><div><p class="kind">recorderd</p>'
    yield '<h1>Acceptance sheet <span lang="ja">検収書</span></h1></div>'
    yield f'<p class="id">{shown(facts.site)}<br>{shown(visit.began_at[:16].replace("T", " "))}</p></header>'
    if facts.is_simulated:
        yield (
            '<p class="warning">Simulated: no real line was looked at. '
            '<span lang="ja">シミュレーションです。実際の回線ではありません。</span></p>'
        )
    yield '<dl class="facts">'
    for english, japanese, value in _facts(visit, facts):
        yield f'<div><dt>{english} <span lang="ja">{japanese}</span></dt><dd>{value}</dd></div>'
    yield "</dl>"


def _facts(visit: Visit, facts: SheetFacts) -> Iterator[tuple[str, str, str]]:
    made = [each for each in visit.outcomes if each.skipped is None]
    count = len(visit.findings)
    left = len(visit.outcomes) - len(made)
    yield "Looked at by", "実施者", shown(visit.who or "—")
    yield "When", "日時", shown(visit.began_at)
    yield (
        "Result",
        "結果",
        f"{len(made)} checks, {count or 'no'} finding{'' if count == 1 else 's'} {'要対処' if count else '異常なし'}"
        + (f"; {left} not looked at 未実施" if left else ""),
    )
    yield "Lines", "回線", shown(", ".join(facts.lines))
    yield "Box", "装置", shown(facts.model)
    yield "Version", "版", shown(__version__)
    key = f"<code>{shown(facts.fingerprint)}</code>" if facts.fingerprint else "not made yet 未作成"
    yield "Device key, SHA-256", "装置の鍵", key
    yield (
        "Configuration looked at, SHA-256",
        "確認した設定",
        f"<code>{shown(facts.config_sha256)}</code>",
    )
    changed = "changed afterwards 変更済み" if visit.written else "not changed 変更なし"
    yield "Configuration", "設定", f"{shown(facts.config)} <small>{changed}</small>"


def _findings(visit: Visit) -> Iterator[str]:
    yield '<section><h2>Findings <span lang="ja">要対処事項</span></h2>'
    if not visit.findings:
        yield '<p>Nothing was found in what was looked at. <span lang="ja">確認した項目に異常はありません。</span></p></section>'
        return
    yield "<ol>"
    for outcome, finding in visit.findings:
        where = f"{shown(outcome.where)}: " if outcome.where else ""
        yield (
            f"<li><b>{where}{shown(finding.code)}</b> {shown(sentence(finding.what))} {shown(sentence(finding.mend))} "
            f'<span lang="ja">{words.FINDINGS_JA[finding.code]}</span></li>'
        )
    yield "</ol></section>"


def _values(visit: Visit) -> Iterator[str]:
    yield '<section><h2>Measured <span lang="ja">測定値</span></h2><table><thead><tr>'
    for english, japanese in (
        ("Check", "項目"),
        ("Where", "対象"),
        ("Result", "判定"),
        ("Values", "値"),
    ):
        yield f'<th>{english} <span lang="ja">{japanese}</span></th>'
    yield "</tr></thead><tbody>"
    for outcome in visit.outcomes:
        check, verdict = words.CHECKS[outcome.check], words.VERDICTS[outcome.verdict]
        yield (
            f'<tr><td>{check.english} <span lang="ja">{check.japanese}</span></td>'
            f"<td>{shown(outcome.where or '—')}</td>"
            f'<td class="verdict {outcome.verdict}">{verdict.english} '
            f'<span lang="ja">{verdict.japanese}</span></td>'
            f'<td class="values">{_told(outcome)}</td></tr>'
        )
    yield "</tbody></table></section>"


def _told(outcome: Outcome) -> str:
    if outcome.skipped is not None:
        japanese = words.SKIPPED_JA.get(outcome.skipped, "")
        return f'{shown(outcome.skipped)} <i lang="ja">{japanese}</i>'
    known = {name: value for name, value in outcome.measured.items() if value not in {None, ""}}
    return " ".join(
        f'<span>{shown(words.label(name))} <i lang="ja">{words.label_ja(name)}</i> <b>{shown(value)}</b></span>'
        for name, value in known.items()
    )
