// The style and the script of the report's page.
#pragma once

namespace sinew::tools {

// Colours of the series: after Okabe and Ito, made darker for white and lighter for black ground.
inline constexpr const char* report_css = R"css(
:root { color-scheme: light dark;
  --ground: #fff; --text: #1b1e23; --soft: #565d68; --rule: #d9dce1; --band: #f4f5f7; --bad: #b3261e; --shade: #565d6890;
  --s0: #0067b0; --s1: #c2500a; --s2: #00805c; --s3: #a8478a; --s4: #946300; --s5: #4d5562;
  --s6: #7a5cc0; --s7: #8a3b3b; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #15171b; --text: #e7e9ec; --soft: #a9b0bb; --rule: #383d46; --band: #1e2126; --bad: #ff8a80; --shade: #a9b0bb70;
  --s0: #5cb3f0; --s1: #ff8f4a; --s2: #37c99b; --s3: #e08cc4; --s4: #e5b035; --s5: #b4bcc8;
  --s6: #b39df0; --s7: #e59a9a; } }
.s0 { --c: var(--s0) } .s1 { --c: var(--s1) } .s2 { --c: var(--s2) } .s3 { --c: var(--s3) }
.s4 { --c: var(--s4) } .s5 { --c: var(--s5) } .s6 { --c: var(--s6) } .s7 { --c: var(--s7) }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 120rem; background: var(--ground);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; line-height: 1.2; margin: .3rem 0 }
h2 { font-size: 1.15rem; margin: 2rem 0 .3rem }
p { margin: .4rem 0; max-width: 50rem }
.soft, figcaption, .caption { color: var(--soft); font-size: .875rem }
.answer { font-size: 1.1rem; margin: .8rem 0; padding: 0; list-style: none }
.answer li { margin: .25rem 0 }
.bad { color: var(--bad) }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .4rem 0; padding: 0;
  list-style: none; font-size: .875rem }
.legend svg, th svg, td svg { width: 14px; height: 14px; vertical-align: -2px; margin-right: .3rem }
.charts { display: grid; gap: 1rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)) }
figure { margin: 0; max-width: 44rem; container-type: inline-size }
figure h3 { font-size: .9rem; margin: .4rem 0 0 }
.chart { display: block; width: 100%; height: auto; font: 11px system-ui, sans-serif }
.chart text { fill: var(--text) }
@container (min-width: 32rem) { .chart { font-size: 8.5px } }
.chart .note { fill: var(--soft) }
.chart .note, .chart .halo { paint-order: stroke; stroke: var(--ground); stroke-width: 3px;
  stroke-linejoin: round }
.grid { stroke: var(--rule); stroke-width: .7 }
.axis, .wire { stroke: var(--soft); fill: none }
.rule { stroke: var(--soft); stroke-dasharray: 6 3 } .r1 { stroke-dasharray: 2 2 } .r2 { stroke-dasharray: 8 2 2 2 }
.join { stroke: var(--rule); stroke-width: 2.5; fill: none }
.curve { stroke: var(--c); stroke-width: 1.6; fill: none; stroke-linejoin: round }
.whisker { stroke: var(--c); stroke-width: 1 }
.dashed { stroke-dasharray: 3 2.5; stroke-width: 1.2 }
.mark { fill: var(--c); stroke: var(--ground); stroke-width: .6 }
.tip:hover .mark { stroke: var(--text); stroke-width: 1.5 }
.cells { stroke: var(--rule); fill: none }
.read { fill: var(--s0); fill-opacity: .35; stroke: var(--s0) }
.self { fill: none; stroke: var(--text); stroke-width: 2 }
.edge { stroke: var(--s0); stroke-opacity: .7 }
.chart .times { font-size: 10px }
.box { fill: var(--band); stroke: var(--soft) }
.head { fill: var(--soft) }
/* The covers move with the content, the shadows below them do not: a shadow where more follows. */
.scroll { overflow-x: auto; width: fit-content; max-width: 100%; border: 1px solid var(--rule);
  margin: .3rem 0;
  background: linear-gradient(to left, var(--ground) 40%, transparent) right / 3rem 100% local,
    linear-gradient(to left, var(--shade), transparent) right / 1rem 100% scroll;
  background-repeat: no-repeat }
.scroll.tall { max-height: 36rem; overflow-y: auto }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums;
  overflow-wrap: normal }
.caption { margin: 1rem 0 0; max-width: none }
.notes { font-size: .8125rem; max-width: 70rem; margin-top: 0 }
th[title] { cursor: help }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap; vertical-align: top }
th { font-weight: 600 }
thead th { position: sticky; top: 0; background: var(--band); vertical-align: bottom;
  white-space: normal }
tbody th, tbody .text, thead .text { text-align: left }
tr > th:first-child { position: sticky; left: 0; z-index: 1 }
thead th:first-child { z-index: 2 }
tbody th { font-weight: 400; background: var(--ground) }
tbody tr { border-top: 1px solid var(--rule) }
tbody tr:hover { background: var(--band) }
.win { font-weight: 600 } .win .soft { font-weight: 400 }
.long { white-space: normal; min-width: 16rem }
th button { all: unset; cursor: pointer; text-decoration: underline dotted; text-underline-offset: 3px }
th button:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--s0) }
th[aria-sort=ascending] button::after { content: " \2191" }
th[aria-sort=descending] button::after { content: " \2193" }
details { margin: .4rem 0 }
summary { cursor: pointer }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .1rem 1rem;
  font-size: .875rem; margin: .4rem 0 }
dt { color: var(--soft) }
dd { margin: 0 }
@media (max-width: 30rem) { dl { grid-template-columns: minmax(0, 1fr) } dd { margin-bottom: .3rem } }
#tip { position: fixed; z-index: 9; max-width: 20rem; padding: .3rem .5rem; font-size: .8125rem;
  background: var(--text); color: var(--ground); border-radius: 3px; pointer-events: none }
)css";

// Tables get a button per column, which sorts by it; marks show their text at once, not after the
// browser's pause, and on a touch too.
inline constexpr const char* report_js = R"js(
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, i) => {
    const text = row.cells[i].dataset.v ?? row.cells[i].textContent.trim();
    const number = Number(text);
    return text === "" || text === "\u2013" ? null : Number.isNaN(number) ? text : number;
  };
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(h => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map(row => [value(row, i), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        const order = typeof a === "number" && typeof b === "number" ? a - b
          : String(a).localeCompare(String(b), "en", { numeric: true });
        return down ? -order : order;
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);
for (const mark of document.querySelectorAll(".tip")) {
  const title = mark.querySelector("title"), text = title.textContent;
  title.remove();
  mark.setAttribute("aria-label", text);
  mark.addEventListener("pointerenter", event => {
    tip.textContent = text;
    tip.hidden = false;
    const x = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8);
    const y = event.clientY - tip.offsetHeight - 10;
    tip.style.left = Math.max(4, x) + "px";
    tip.style.top = (y < 4 ? event.clientY + 16 : y) + "px";
  });
  mark.addEventListener("pointerleave", () => { tip.hidden = true; });
}
)js";

}  // namespace sinew::tools
