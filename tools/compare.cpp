// sinew compare: a geo-sparse network and dense ones of matched size on one task, or on data files.
#include <cinttypes>
#include <filesystem>

#include "comparison_flags.h"
#include "labels.h"
#include "progress.h"
#include "run_folder.h"
#include "sinew/ops.h"

namespace sinew::tools {
namespace {

using Json = nlohmann::ordered_json;

class Compare {
 public:
  void add_to(Flags& flags);
  void run();

 private:
  std::optional<FileTask> read_files(ComparisonSettings& settings) const;
  Json train(Comparison& comparison, int64_t epochs) const;

  RunFlags run_;
  ComparisonFlags flags_;
  DataFlags data_;
  std::string test_data_, test_target_, loss_;
  std::optional<std::string> out_;
  double test_fraction_ = 0.2;
  bool overwrite_ = false;
};

void Compare::add_to(Flags& flags) {
  flags_.add_to(flags, ComparisonFlags::Of::one);
  const char* group = "Data files in place of a task";
  const Flag data = add_data_flags(flags, data_);
  for (const char* name : {"--data", "--target", "--target-column", "--idx-scale"})
    flags.get(name).group(group);
  for (const char* name : {"--task", "--train-size", "--test-size"}) flags.get(name).excludes(data);
  const Flag fraction = flags
                            .add("--test-fraction", test_fraction_,
                                 "of the rows of --data, drawn with --seed, for testing")
                            .needs(data)
                            .group(group);
  const Flag test = flags.add("--test-data", test_data_, "rows for testing")
                        .excludes(fraction)
                        .needs(data)
                        .group(group);
  flags.add("--test-target", test_target_, "their targets").needs(test).group(group);
  flags
      .add("--loss", loss_,
           "mse or cross_entropy; default: cross_entropy for an integer target, else mse")
      .one_of({"mse", "cross_entropy"})
      .needs(data)
      .group(group);
  flags.add("--out", out_, "folder for manifest.json, results.json and summary.csv")
      .shown("reports/geo_sparse/DATE_TIME");
  flags.add("--overwrite", overwrite_, "replace the comparison in --out");
  add_run_flags(flags, run_);
}

// Completes the network and the loss by what the files hold.
std::optional<FileTask> Compare::read_files(ComparisonSettings& s) const {
  if (data_.data.empty()) return {};
  if (!(test_fraction_ > 0 && test_fraction_ < 1))
    throw Error("--test-fraction outside (0, 1) (" + std::to_string(test_fraction_) + ")");
  const DType dtype = run_.data_type();
  Dataset data = read_dataset(data_, dtype);
  const bool classifies = loss_.empty() ? data.integer_target : loss_ == "cross_entropy";
  s.train.loss.kind = classifies ? LossKind::cross_entropy : LossKind::mse;
  if (classifies && s.data.scale_y)
    throw Error("--scale-y is for numbers, not for class labels (loss cross_entropy)");
  std::vector<int64_t> classes;
  if (classifies)
    classes = classes_of(data, data_.target_file(),
                         loss_.empty() ? Classes::by_the_data : Classes::by_a_flag);
  const auto target = [&](const Dataset& d, const std::string& file) {
    return classifies ? label_positions(d.y, classes, file) : d.y;
  };
  FileTask files;
  files.classes = static_cast<int64_t>(classes.size());
  files.data = data_.data;
  files.target = data_.target_file();
  files.columns = data.names.targets;
  files.task.x = data.x;
  files.task.y = target(data, files.target);
  s.network.output_dim = left_open;
  s.network =
      fit_to_data(s.network, data.x.dim(1), data.grid, classifies ? files.classes : data.y.dim(1));
  if (test_data_.empty()) {
    const Split rows = split_rows(data.x.dim(0), test_fraction_, s.seed);
    files.task = {gather(data.x, rows.train),
                  gather(files.task.y, rows.train),
                  gather(data.x, rows.validation),
                  gather(files.task.y, rows.validation),
                  {}};
  } else {
    DataFlags test = data_;
    test.data = test_data_;
    test.target = test_target_;
    const Dataset other = read_dataset(test, dtype, data.names);
    if (other.x.dim(1) != data.x.dim(1) || (!classifies && other.y.dim(1) != data.y.dim(1)))
      throw Error(test_data_ + ": has other columns than " + data_.data);
    files.task.test_x = other.x;
    files.task.test_y = target(other, test.target_file());
  }
  for (const Tensor* t : {&files.task.x, &files.task.y, &files.task.test_x, &files.task.test_y})
    files.digest += (files.digest.empty() ? "" : " ") + fingerprint(*t);
  return files;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

// What was made of the files.
std::string summary(const FileTask& f, const ComparisonSettings& s, const Comparison& comparison) {
  const auto& shape = s.network.connectivity.shape;
  const int64_t outputs = s.network.output_dim;
  const std::string what = f.classes > 0
                               ? std::to_string(outputs) + " classes"
                               : std::to_string(outputs) + (outputs == 1 ? " target" : " targets");
  return f.data + ": " + std::to_string(comparison.training_rows()) + " rows to train, " +
         std::to_string(f.task.x.dim(0) - comparison.training_rows()) + " for validation, " +
         std::to_string(f.task.test_x.dim(0)) + " for testing; " +
         std::to_string(s.network.input_dim) + " inputs on a " + std::to_string(shape[0]) + " x " +
         std::to_string(shape[1]) + " grid; " + what +
         (f.columns.empty() ? "" : " (" + joined(f.columns) + ")");
}

// What a reader of the table should know: losses that are not finite, and networks that learned
// less than the mean of the targets tells.
std::vector<std::string> remarks(const Json& results) {
  std::vector<std::string> out;
  const bool classifies = results["manifest"]["loss"] == "cross_entropy";
  const char* figure = classifies ? "accuracy" : "mse";
  const Json& constant = results["reference_lines"][0]["metrics_test"][figure];
  bool learned = false, diverged = false;
  for (const Json& m : results["models"]) {
    const Json& value = m["metrics_test"][figure];
    if (value.is_number() && constant.is_number())
      learned = learned || (classifies ? value > constant : value < constant);
    const bool finite = m["train"]["loss_nonfinite_steps"] == 0;
    diverged = diverged || !finite;
    if (!finite)
      out.push_back(m["name"].get<std::string>() + ": the loss was not finite in " +
                    m["train"]["loss_nonfinite_steps"].dump() + " steps; try a smaller --lr");
  }
  if (!learned && !diverged)
    out.push_back("no network predicts better than " +
                  results["reference_lines"][0]["name"].get<std::string>() +
                  ": more --epochs, another --lr or --scale-x and --scale-y may help");
  return out;
}

// A figure of JSON, or blanks.
std::string cell(const char* pattern, const Json& value) {
  if (value.is_number()) return format(pattern, value.get<double>());
  const std::string none = "not finite";
  const size_t width = format(pattern, 0).size();
  return width < none.size() ? std::string(width, ' ')
                             : std::string(width - none.size(), ' ') + none;
}

std::string table(const Json& results) {
  const bool classifies = results["manifest"]["loss"] == "cross_entropy";
  const std::string figure = classifies ? "accuracy" : "mse";
  std::string out = "model           parameters  test " + figure + (classifies ? "" : "     ") +
                    "  best epoch  train " + figure + (classifies ? "" : "     ") +
                    "   step ms   train s  memory MB\n";
  const auto name = [](std::string text) {
    return text.append(16 - std::min<size_t>(16, text.size()), ' ');
  };
  for (const Json& m : results["models"]) {
    const Json& train = m["train"];
    out += name(m["name"]) + cell("%10.0f", m["params_empirical"]) +
           cell("  %13.6g", m["metrics_test"][figure]) + cell("  %10.0f", m["best"]["epoch"]) +
           cell("  %14.6g", m["metrics_train"][figure]) +
           cell("  %8.3f", train["step_time_ms_median"]) + cell("  %8.2f", train["train_time_s"]) +
           cell("  %9.2f", Json(1e-6 * train["memory_high_water_bytes"].get<double>())) + "\n";
  }
  for (const Json& line : results["reference_lines"])
    out += name(line["name"]) + std::string(10, ' ') +
           cell("  %13.6g", line["metrics_test"][figure]) + std::string(12, ' ') +
           cell("  %14.6g", line["metrics_train"][figure]) + "\n";
  return out;
}

Json Compare::train(Comparison& comparison, int64_t epochs) const {
  int64_t done = 0;
  Progress progress(run_, comparison.steps(), 0);
  return comparison.run([&](const std::string& model, const Trainer& trainer) {
    ++done;
    const int64_t each = trainer.steps_per_epoch(), steps = trainer.steps_done();
    const std::string epoch =
        model + "  epoch " + std::to_string((steps - 1) / each + 1) + "/" + std::to_string(epochs);
    if (trainer.epoch_ended())
      progress.unit(done, epoch + format("  train_loss %.6g", trainer.history().back().train_loss));
    else
      progress.step(done, epoch + "  step " + std::to_string((steps - 1) % each + 1) + "/" +
                              std::to_string(each));
    if (stop_signal() != 0) throw Stopped("; nothing was written");
  });
}

void Compare::run() {
  run_.apply();
  ComparisonSettings settings = flags_.settings(run_);
  const std::optional<FileTask> files = read_files(settings);
  Comparison comparison(settings, run_, files);
  const std::string out = out_.value_or(dated_folder("reports/geo_sparse"));
  std::error_code ignored;
  if (!overwrite_ && std::filesystem::exists(out + "/results.json", ignored))
    throw Error(out + ": holds a comparison (results.json); use --overwrite");
  RunFolder folder(out);
  folder.take();
  remove_temporaries(out);
  work_starts();
  for (const std::string& warning : comparison.warnings()) notice(run_, warning);
  if (files) notice(run_, summary(*files, settings, comparison));
  const Json results = train(comparison, settings.train.epochs);
  write_comparison(out, results);
  print(run_, table(results) + out + ": manifest.json, results.json, summary.csv\n");
  for (const std::string& remark : remarks(results)) notice(run_, remark);
}

}  // namespace

void add_compare(Flags& program) {
  const auto compare = std::make_shared<Compare>();
  Flags flags = program.add_command("compare",
                                    "Compare a geo-sparse network with dense ones of the same size",
                                    "sinew compare --shape 8x8 --task sine --epochs 5 --out report",
                                    [compare] { compare->run(); });
  compare->add_to(flags);
}

}  // namespace sinew::tools
