// sinew report: the results of a comparison or a sweep as one page of HTML, and as pictures.
#include <filesystem>
#include <memory>
#include <optional>

#include "command.h"
#include "gnuplot.h"
#include "report_answer.h"
#include "report_html.h"
#include "report_plots.h"
#include "report_read.h"
#include "sinew/io.h"

namespace sinew::tools {
namespace {

namespace fs = std::filesystem;

struct Report {
  RunFlags run;
  std::string folder;
  std::optional<std::string> out;
  std::vector<std::string> plots;
};

std::vector<PlotFormat> formats(const Report& r) {
  std::vector<PlotFormat> out;
  for (const std::string& name : r.plots)
    out.push_back(name == "png" ? PlotFormat::png : PlotFormat::svg);
  return out;
}

std::string plots_folder(const Report& r) {
  const fs::path folder = fs::path(r.folder) / "plots";
  std::error_code fault;
  if (!fs::is_directory(folder, fault) && !fs::create_directory(folder, fault))
    throw Error(folder.string() + ": cannot be made (" + fault.message() + ")");
  require_writable((folder / "x.dat").string());
  return folder.string();
}

void make_report(const Report& r) {
  const Results results = read_results(r.folder);
  const Summary summary = about(r.folder, [&] { return summarize(results); });
  const std::string file = r.out.value_or((fs::path(r.folder) / "report.html").string());
  require_writable(file);
  const bool draws = !r.plots.empty() && gnuplot_found();
  const std::string plots = draws ? plots_folder(r) : "";

  work_starts();
  const std::vector<FigureGroup> groups = figures(summary);
  write_file(file, report_page(results, summary, groups));
  if (draws) write_plots(plots, groups, formats(r));
  if (!r.plots.empty() && !draws)
    notice(r.run, "--plots: gnuplot is not in PATH; no plots written");
  std::string text = file + ": " + results.counts() + "\n";
  for (const std::string& sentence : findings(summary)) text += one_line(sentence) + "\n";
  print(r.run, text);
}

}  // namespace

void add_report(Flags& program) {
  const auto r = std::make_shared<Report>();
  Flags flags = program.add_command("report", "Show results of compare or sweep as a page of HTML",
                                    "sinew report DIR --plots png,svg", [r] { make_report(*r); });
  flags.add("DIR", r->folder, "folder of a comparison or of a sweep").required();
  flags.add("--out", r->out, "file of the page; default: DIR/report.html");
  flags.add("--plots", r->plots, "also DIR/plots/*.png or *.svg by gnuplot: png, svg")
      .list()
      .one_of({"png", "svg"});
  flags.add("--quiet", r->run.quiet, "print nothing but errors");
}

}  // namespace sinew::tools
