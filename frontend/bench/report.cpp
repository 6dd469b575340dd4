#include "frontend/bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "frontend/bench/results.h"
#include "frontend/bench/svg.h"

namespace vks::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kStyle = R"css(
:root{color-scheme:light dark;--ink:#1c2330;--paper:#fff;--faint:#5b6473;--rule:#d8dde5;--head:#f3f5f8;--mark:#0b63c4;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--paper:#14171c;--faint:#9aa3b2;--rule:#333a45;--head:#1d2229;--mark:#69a9f5;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.2rem;margin-top:2rem}
.wide{overflow-x:auto;border:1px solid var(--rule);border-radius:6px}
table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--rule);text-align:left;white-space:nowrap}
td.n{text-align:right}tr:last-child td{border-bottom:0}
th{background:var(--head);position:sticky;top:0}
th button{all:unset;cursor:pointer;font-weight:600}th button:focus-visible{outline:2px solid var(--mark)}
th[aria-sort=ascending] button::after{content:" \2191"}th[aria-sort=descending] button::after{content:" \2193"}
.bad{color:var(--bad);font-weight:600}.faint{color:var(--faint)}
label{display:block;margin:.5rem 0}input{font:inherit;max-width:100%;padding:.2rem .4rem;color:inherit;background:var(--paper);border:1px solid var(--rule);border-radius:4px}
svg{display:block;width:100%;height:auto}svg text{fill:var(--faint);font-size:12px}
@media screen and (max-width:600px){svg text{font-size:20px}circle.op{r:7px}}
.grid{stroke:var(--rule)}.roof{stroke:var(--ink);stroke-width:1.5;fill:none}.expected{stroke-dasharray:6 5}
.op{fill:var(--mark);fill-opacity:.6}.op:hover,.op:focus{fill-opacity:1;outline:none;stroke:var(--ink)}.dim{opacity:.12}
@media print{body{max-width:none;padding:0}.wide{overflow:visible;border:0}th{position:static}label{display:none}}
)css";

// Sorting by a click on a heading, what has no value last; a filter, of operators in the plots, too; and a line under
// each plot that says which operator has the focus, for those who have no mouse to point with.
constexpr const char* kScript = R"js(
const value=c=>c.dataset.v!==undefined?Number(c.dataset.v):c.textContent==='–'?null:c.textContent;
for(const th of document.querySelectorAll('th'))th.querySelector('button').onclick=()=>{
 const table=th.closest('table'),body=table.tBodies[0],at=th.cellIndex;
 const up=th.getAttribute('aria-sort')!=='ascending';
 for(const o of table.querySelectorAll('th'))o.removeAttribute('aria-sort');
 th.setAttribute('aria-sort',up?'ascending':'descending');
 const order=(a,b)=>{const x=value(a.cells[at]),y=value(b.cells[at]);
  if(x===null||y===null)return(x===null)-(y===null);
  return(typeof x==='number'&&typeof y==='number'?x-y:String(x).localeCompare(String(y)))*(up?1:-1)};
 body.append(...[...body.rows].sort(order));};
const ops=[...document.querySelectorAll('#ops tbody tr')],dots=document.querySelectorAll('circle.op');
for(const input of document.querySelectorAll('input[type=search]'))input.oninput=()=>{
 const want=input.value.toLowerCase();
 for(const row of document.getElementById(input.dataset.for).tBodies[0].rows)
  row.hidden=!row.textContent.toLowerCase().includes(want);
 for(const dot of dots)dot.classList.toggle('dim',!!ops[dot.dataset.row]?.hidden);};
for(const dot of dots)dot.onfocus=dot.onmouseenter=()=>{
 dot.closest('section').querySelector('.which').textContent=dot.textContent;};
)js";

struct TableColumn {
    const char* field;
    const char* title;
    const char* format = nullptr;  // of a number
};

std::string cell(const Json& row, const TableColumn& column) {
    const auto found = row.find(column.field);
    if (found == row.end() || found->is_null()) return "<td class=\"faint\">–</td>";
    if (found->is_number() && column.format)
        return fmt::format("<td class=\"n\" data-v=\"{}\">{}</td>", found->get<double>(),
                           fmt::format(fmt::runtime(column.format), found->get<double>()));
    if (found->is_boolean())
        return found->get<bool>()        ? "<td>yes</td>"
               : row.contains("skipped") ? "<td class=\"faint\">skipped</td>"
                                         : "<td class=\"bad\">wrong</td>";
    return fmt::format("<td>{}</td>", escape_html(found->is_string() ? found->get<std::string>() : found->dump()));
}

std::string table(const std::string& id, const std::vector<Json>& rows, const std::vector<TableColumn>& columns) {
    std::string html = fmt::format("<label>Filter <input type=\"search\" data-for=\"{}\"></label>\n", id);
    html += fmt::format("<div class=\"wide\"><table id=\"{}\"><thead><tr>", id);
    for (const TableColumn& c : columns)
        html += fmt::format("<th scope=\"col\"><button>{}</button></th>", escape_html(c.title));
    html += "</tr></thead><tbody>\n";
    for (const Json& row : rows) {
        html += "<tr>";
        for (const TableColumn& c : columns) html += cell(row, c);
        html += "</tr>\n";
    }
    return html + "</tbody></table></div>\n";
}

std::vector<Json> of_kind(const std::vector<Json>& rows, Kind kind) {
    std::vector<Json> list;
    std::copy_if(rows.begin(), rows.end(), std::back_inserter(list), [&](const Json& r) { return kind_of(r) == kind; });
    return list;
}

std::string plots(const std::vector<Json>& rows) {
    std::set<std::string> backends;
    for (const Json& row : of_kind(rows, Kind::kOps)) backends.insert(row["backend"].get<std::string>());
    std::string html;
    for (const std::string& backend : backends) {
        std::string svg = roofline_svg(rows, backend);
        if (!svg.empty()) svg += "<p class=\"which faint\">One dot, one operator.</p>\n";
        html += section("Roofline of " + backend, svg);
    }
    return html;
}

std::string comparison(const std::vector<Json>& rows, const std::vector<Json>& before) {
    if (before.empty()) return {};
    return table("compare", compare(before, rows),
                 {{"what", "what"},
                  {"a", "before", "{:.2f}"},
                  {"b", "now", "{:.2f}"},
                  {"unit", "unit"},
                  {"speed", "speed", "{:.3f}"}});
}

}  // namespace

std::string report_page(const std::vector<Json>& rows, const std::vector<Json>& before, const std::string& title) {
    const auto ops = of_kind(rows, Kind::kOps), models = of_kind(rows, Kind::kModel),
               roofs = of_kind(rows, Kind::kRoofline), programs = of_kind(rows, Kind::kIsa);
    std::string body = plots(rows);
    if (!ops.empty())
        body += section("Operators", table("ops", ops,
                                           {{"op", "operator"},
                                            {"shape", "shape"},
                                            {"backend", "backend"},
                                            {"variant", "variant"},
                                            {"verified", "right"},
                                            {"median_us", "median µs", "{:.1f}"},
                                            {"best_us", "best µs", "{:.1f}"},
                                            {"gb_s", "GB/s", "{:.2f}"},
                                            {"gflop_s", "GFLOP/s", "{:.2f}"},
                                            {"roofline_share", "share", "{:.2f}"},
                                            {"limit", "limit"}}));
    if (!models.empty())
        body += section("Models", table("models", models,
                                        {{"model_type", "model"},
                                         {"backends", "backend"},
                                         {"n_threads", "threads", "{:.0f}"},
                                         {"n_prompt", "prompt", "{:.0f}"},
                                         {"n_gen", "generated", "{:.0f}"},
                                         {"n_depth", "depth", "{:.0f}"},
                                         {"mtp", "drafts", "{:.0f}"},
                                         {"avg_ts", "t/s", "{:.2f}"},
                                         {"stddev_ts", "±", "{:.2f}"},
                                         {"mtp_ratio", "with over without drafts", "{:.2f}"},
                                         {"extrapolated_ts", "all layers, extrapolated t/s", "{:.3g}"}}));
    body += growth_sections(models);
    if (!roofs.empty())
        body += section("What devices can do", table("roofs", roofs,
                                                     {{"backend", "backend"},
                                                      {"device", "device"},
                                                      {"what", "what"},
                                                      {"bytes", "bytes", "{:.0f}"},
                                                      {"value", "value", "{:.2f}"},
                                                      {"unit", "unit"}}));
    if (!programs.empty())
        body += section("What compilers make of the shaders", table("isa", programs,
                                                                    {{"backend", "GPU"},
                                                                     {"op", "operator"},
                                                                     {"shader", "shader"},
                                                                     {"registers", "registers", "{:.0f}"},
                                                                     {"spilled", "spilled", "{:.0f}"},
                                                                     {"shared", "shared", "{:.0f}"},
                                                                     {"waves", "waves", "{:.0f}"},
                                                                     {"code", "code", "{:.0f}"},
                                                                     {"constants", "constants"}}));
    if (const auto numbers = of_kind(rows, Kind::kTune); !numbers.empty())
        body += section("Numbers of operators", table("numbers", numbers,
                                                      {{"backend", "backend"},
                                                       {"number", "number"},
                                                       {"chosen", "chosen", "{:.0f}"},
                                                       {"cases", "cases", "{:.0f}"},
                                                       {"usual_us", "usual µs", "{:.1f}"},
                                                       {"best_us", "best µs", "{:.1f}"}}));
    body += section("Compared with before", comparison(rows, before));
    const std::string heading = escape_html(title);
    return fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta name=\"viewport\" "
        "content=\"width=device-width,initial-scale=1\">\n<title>{}</title>\n<style>{}</style></head>\n"
        "<body><h1>{}</h1>\n{}<script>{}</script></body></html>\n",
        heading, kStyle, heading, body, kScript);
}

}  // namespace vks::bench
