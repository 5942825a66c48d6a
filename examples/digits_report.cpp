#include "digits_report.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <set>

#include "sinew/io.h"

using sinew::write_file;

namespace {

template <class... T>
std::string format(const char* pattern, T... values) {
  char text[512];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

double mean(const std::vector<Run>& runs, std::vector<double> Run::*course, size_t epoch) {
  double sum = 0;
  for (const Run& run : runs) sum += (run.*course)[epoch];
  return sum / static_cast<double>(runs.size());
}

// Columns of each contender: means of loss and test error (%), then the error of each seed.
std::string curves_csv(const std::vector<Contender>& contenders) {
  std::string text = "epoch";
  for (const Contender& c : contenders) {
    text += "," + c.name + " loss," + c.name + " error";
    for (size_t seed = 0; seed < c.runs.size(); ++seed) text += format(",seed %zu", seed);
  }
  const size_t epochs = contenders[0].runs[0].loss.size();
  for (size_t epoch = 0; epoch < epochs; ++epoch) {
    text += format("\n%zu", epoch + 1);
    for (const Contender& c : contenders) {
      text += format(",%.5f,%.3f", mean(c.runs, &Run::loss, epoch),
                     100 - mean(c.runs, &Run::accuracy, epoch));
      for (const Run& run : c.runs) text += format(",%.3f", 100 - run.accuracy[epoch]);
    }
  }
  return text + "\n";
}

std::string with_comma(int64_t number) {
  return number < 1000 ? std::to_string(number)
                       : format("%lld,%03lld", static_cast<long long>(number / 1000),
                                static_cast<long long>(number % 1000));
}

std::string gnuplot_script(const std::vector<Contender>& contenders) {
  const char* colours[] = {"d9480f", "3b5bdb"};
  const size_t seeds = contenders[0].runs.size();
  std::string single, means, losses;
  for (size_t i = 0; i < contenders.size(); ++i) {
    const Contender& c = contenders[i];
    const size_t loss = 2 + i * (2 + seeds);  // its column
    const std::string curve =
        "  'curves.csv' using (bin($1)):%zu smooth unique lw %s lc rgb '#%s%s'";
    for (size_t seed = 0; seed < seeds; ++seed)
      single += format(curve.c_str(), loss + 2 + seed, "1", "a0", colours[i]) + " notitle, \\\n";
    means += format(curve.c_str(), loss + 1, "2.5", "", colours[i]) + " title '" + c.name + ", " +
             with_comma(c.parameters) + format(" parameters: %.1f %% right', \\\n", c.accuracy());
    losses += format(curve.c_str(), loss, "2.5", "", colours[i]) + " title '" + c.name + "', \\\n";
  }
  return R"(# Draws curves.png from curves.csv: gnuplot curves.gp
set terminal pngcairo size 1200,520 font 'Sans,12' background rgb 'white'
set output 'curves.png'
set datafile separator ','
set style data lines
bin(x) = x < 12 ? x : exp((floor(12 * log(x)) + 0.5) / 12.0)  # later epochs are averaged in groups
set multiplot layout 1,2 title '{/*1.25 Reading handwritten digits: two networks of the same size}'
set border 3 lc rgb '#444444'
set tics nomirror out scale 0.6
set grid lc rgb '#cccccc' lw 1 dt 1
set key bottom left spacing 1.4 samplen 2 Left reverse
set tmargin 3.5
set xlabel 'epoch'
set logscale xy
set autoscale xfix
set yrange [0.5:100]
set ytics (0.5, 1, 2, 5, 10, 20, 50, 100)
set title 'Test digits read wrongly (%): mean, and each seed'
plot \
)" + single +
         means + R"(  1/0 notitle
set yrange [0.5:2.5]
set ytics (0.5, 0.6, 0.8, 1, 1.5, 2, 2.5)
set title 'Training loss: cross entropy, distorted digits, smoothed labels'
plot \
)" + losses +
         R"(  1/0 notitle
unset multiplot
)";
}

// Digits `shown` (row numbers) side by side, two characters per pixel.
void draw_digits(const Digits& digits, const std::vector<int32_t>& predictions,
                 const std::vector<int64_t>& shown) {
  const std::string shades = " .:-=+*#%@";
  const std::vector<float> pixels = digits.images.host<float>();
  const std::vector<int32_t> labels = digits.labels.host<int32_t>();
  std::string text;
  for (int row = 0; row < 8; ++row) {
    for (int64_t i : shown) {
      text += "  ";
      for (int column = 0; column < 8; ++column) {
        const float value = pixels[static_cast<size_t>(i * 64 + row * 8 + column)];
        text.append(2, shades[static_cast<size_t>(value * 9 + 0.5F)]);
      }
    }
    text += "\n";
  }
  for (int64_t i : shown) {
    const int32_t label = labels[static_cast<size_t>(i)],
                  read = predictions[static_cast<size_t>(i)];
    text += format("  %-16s", format("a %d, read as %d", label, read).c_str());
  }
  std::printf("%s\n\n", text.c_str());
}

}  // namespace

double Contender::accuracy() const {
  return mean(runs, &Run::accuracy, runs[0].accuracy.size() - 1);
}

bool Progress::is_terminal() { return isatty(STDERR_FILENO) != 0; }

void Progress::advance(const std::string& what) {
  ++done_;
  if (!terminal_) return;
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
  const double left =
      passed.count() / static_cast<double>(done_) * static_cast<double>(total_ - done_);
  std::fprintf(stderr, "\r\033[K%3lld %%  %s  about %.0f s left",
               static_cast<long long>(100 * done_ / total_), what.c_str(), left);
}

void Progress::clear() const {
  if (terminal_) std::fprintf(stderr, "\r\033[K");
}

void print_table(const std::vector<Contender>& contenders) {
  const size_t seeds = contenders[0].runs.size();
  const int width = static_cast<int>(std::max<size_t>(20, 6 * seeds + 1));
  std::printf("\n%-16s %10s  %-*s %7s  %8s  %9s\n", "network", "parameters", width,
              "test accuracy (%)", "mean", "ms/step", "training");
  for (const Contender& c : contenders) {
    std::string accuracies;
    double step_seconds = 0, seconds = 0;
    for (const Run& run : c.runs) {
      accuracies += format("%.1f  ", run.accuracy.back());
      step_seconds += run.step_seconds / static_cast<double>(seeds);
      seconds += run.seconds / static_cast<double>(seeds);
    }
    std::printf("%-16s %10s  %-*s %6.2f%%  %8.3f  %7.1f s\n", c.name.c_str(),
                with_comma(c.parameters).c_str(), width, accuracies.c_str(), c.accuracy(),
                1e3 * step_seconds, seconds);
  }
  std::printf("\n");
}

// Four digits of different classes read rightly, and up to four different mistakes.
void print_samples(const Digits& digits, const std::vector<int32_t>& predictions) {
  const std::vector<int32_t> labels = digits.labels.host<int32_t>();
  std::vector<int64_t> right, wrong;
  std::set<std::pair<int32_t, int32_t>> seen;
  for (size_t i = 0; i < labels.size(); ++i) {
    std::vector<int64_t>& list = predictions[i] == labels[i] ? right : wrong;
    if (list.size() < 4 && seen.insert({labels[i], predictions[i]}).second)
      list.push_back(static_cast<int64_t>(i));
  }
  std::printf("Some digits that the last geo-sparse net reads rightly:\n");
  draw_digits(digits, predictions, right);
  if (wrong.empty()) return;
  std::printf("... and some that it does not:\n");
  draw_digits(digits, predictions, wrong);
}

void require_writable(const std::string& folder) {
  std::filesystem::create_directories(folder);
  const std::string probe = folder + "/.sinew-probe";
  write_file(probe, "");
  std::filesystem::remove(probe);
}

void write_curves(const std::string& folder, const std::vector<Contender>& contenders) {
  write_file(folder + "/curves.csv", curves_csv(contenders));
  write_file(folder + "/curves.gp", gnuplot_script(contenders));
  std::filesystem::current_path(folder);  // so that no file name needs quoting
  if (std::system("gnuplot --version >/dev/null 2>&1") != 0)
    std::printf("Wrote %s/curves.csv and curves.gp; gnuplot, which would draw them, is missing\n",
                folder.c_str());
  else if (std::system("gnuplot curves.gp") == 0)
    std::printf("Wrote the learning curves: %s/curves.png (from curves.csv, curves.gp)\n",
                folder.c_str());
  else
    std::printf("Wrote %s/curves.csv and curves.gp, but gnuplot failed\n", folder.c_str());
}
