"""How the report looks: light and dark on a screen, and on A4 paper always light."""

from __future__ import annotations

_LIGHT = """--ground:#fff;--lane:#f6f7f9;--ink:#1a202c;--soft:#5a6472;--rule:#d5dae1;--near:#1f5fa8;--far:#0b7a5e;
--notice:#f7e3ac;--notice-dot:#a87900;--gap:#fbd0cc;--gap-bar:#c0271c;--mask:#dcdfe5;--mask-bar:#6b7280;--edge:#1a202c;
--warn-ground:#fdecea;--warn:#8f1d14"""
_DARK = """--ground:#14171c;--lane:#1c2128;--ink:#e8eaee;--soft:#9aa4b2;--rule:#333b47;--near:#6db0ff;--far:#4fd1a5;
--notice:#4a3b10;--notice-dot:#e2b33c;--gap:#4c1815;--gap-bar:#ff7b70;--mask:#363c46;--mask-bar:#9aa4b2;--edge:#e8eaee;
--warn-ground:#3a1613;--warn:#ffb4ac"""

STYLE = f"""
:root{{{_LIGHT};color-scheme:light dark}}
@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}}}}}
*{{box-sizing:border-box}}
body{{margin:0 auto;padding:28px 32px 40px;max-width:1000px;background:var(--ground);color:var(--ink);
font:14px/1.5 system-ui,"Segoe UI","Helvetica Neue",Arial,"Hiragino Sans","Noto Sans CJK JP","Yu Gothic UI",sans-serif}}
h1{{margin:0;font-size:25px;line-height:1.25;font-weight:650;letter-spacing:-.01em}}
h2{{margin:0 0 8px;font-size:15px;font-weight:650}}
h3{{margin:10px 0 4px;font-size:13px;font-weight:650}}
h1 span,h2 span{{margin-left:.5em;font-weight:400;color:var(--soft)}}
h1 span{{font-size:.72em}} h2 span{{font-size:.88em}}
header{{display:flex;justify-content:space-between;align-items:flex-end;gap:24px;padding-bottom:12px;
border-bottom:2px solid var(--ink)}}
.kind{{margin:0 0 2px;color:var(--soft)}}
.id{{margin:0;text-align:right;color:var(--soft);font:12px/1.6 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}}
.facts{{display:grid;grid-template-columns:repeat(3,1fr);gap:0 28px;margin:6px 0 0}}
.facts>div{{padding:9px 0;border-bottom:1px solid var(--rule)}}
dt,th{{color:var(--soft);font-size:12px;font-weight:400;text-align:left}}
dd{{margin:1px 0 0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}}
small{{color:var(--soft);font-size:12px}}
section{{margin-top:24px;break-inside:avoid}}
p{{margin:6px 0}}
.note{{color:var(--soft);font-size:12px}}
.warning{{margin:12px 0 4px;padding:8px 12px;border-left:4px solid var(--warn);background:var(--warn-ground);color:var(--warn)}}
table{{width:100%;border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}}
th{{padding:3px 14px 3px 0;border-bottom:1px solid var(--rule)}}
td{{padding:5px 14px 5px 0;border-bottom:1px solid var(--rule);vertical-align:top}}
tr{{break-inside:avoid}}
td:not(:first-child){{white-space:nowrap}} td:last-child{{white-space:normal;padding-right:0}}
code{{font:11.5px/1.5 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere;color:var(--soft)}}
.file{{overflow-wrap:anywhere}}
.keys div{{display:flex;gap:14px;padding:3px 0}} .keys dt{{flex:0 0 180px}} .keys{{margin:0}}
.two{{display:grid;grid-template-columns:1fr 1fr;gap:28px}}
.proofs ul{{margin:0;padding-left:18px;font-size:13px}} .proofs li{{margin:2px 0}}
svg{{display:block;width:100%;height:auto;font:11.5px system-ui,"Hiragino Sans","Noto Sans CJK JP",sans-serif}}
svg text{{fill:var(--ink)}} svg .clock{{fill:var(--soft)}}
svg .name{{text-anchor:end;font-size:10.5px;fill:var(--soft)}} svg .name.near{{fill:var(--near);font-size:12px}}
svg .name.far{{fill:var(--far);font-size:12px}} svg .sign{{text-anchor:middle;font-size:10px}}
.lane{{fill:var(--lane)}} .zero{{stroke:var(--rule);stroke-width:1}}
.wave.near{{fill:var(--near);stroke:var(--near)}} .wave.far{{fill:var(--far);stroke:var(--far)}} .wave{{stroke-width:.6}}
.border{{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 4}} .edge{{stroke:var(--edge);stroke-width:1.4}}
.tick{{stroke:var(--soft)}}
.notice-ground{{fill:var(--notice)}} .notice-dot{{fill:var(--notice-dot)}} .gap-ground{{fill:var(--gap)}} .gap-bar{{fill:var(--gap-bar)}}
.mask-ground{{fill:var(--mask)}} .mask-bar{{stroke:var(--mask-bar);stroke-width:1;fill:none}}
.legend{{display:flex;flex-wrap:wrap;gap:4px 20px;margin:8px 0 4px;padding:0;list-style:none;font-size:12px}}
.legend span{{color:var(--soft)}}
.key{{display:inline-block;width:18px;height:11px;margin-right:6px;vertical-align:-1px;font:11px/11px sans-serif;text-align:center}}
.key.notice{{background:radial-gradient(circle,var(--notice-dot) 1px,var(--notice) 1.4px) 0 0/6px 6px}}
.key.gap{{background:repeating-linear-gradient(45deg,var(--gap-bar) 0 2px,var(--gap) 2px 6px)}}
.key.mask{{background:linear-gradient(var(--mask-bar) 1px,transparent 1px) 0 0/5px 5px,
linear-gradient(90deg,var(--mask-bar) 1px,var(--mask) 1px) 0 0/5px 5px}}
.key.border{{width:2px;margin:0 14px 0 8px;border-left:1.5px dashed var(--soft)}}
@media (max-width:720px){{body{{padding:16px}} .facts,.two{{grid-template-columns:1fr}} .keys div{{display:block}}}}
@page{{size:A4;margin:14mm}}
@media print{{body{{padding:0;max-width:none;font-size:10pt;-webkit-print-color-adjust:exact;print-color-adjust:exact}}
section{{margin-top:14px}} h1{{font-size:17pt}} td,th,.proofs ul,.legend{{font-size:8.5pt}} code{{font-size:7.5pt}}
.facts>div{{padding:5px 0}}}}
"""
