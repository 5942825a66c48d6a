// sinew train: data files and the description of a network become a model folder (run_folder.h).
// Everything is read, built and compared before the folder is touched.
#include <algorithm>
#include <charconv>
#include <cinttypes>

#include "command.h"
#include "dataset.h"
#include "environment.h"
#include "inference.h"
#include "labels.h"
#include "network_flags.h"
#include "progress.h"
#include "run_folder.h"
#include "sinew/io.h"
#include "sinew/model.h"
#include "sinew/ops.h"
#include "train_flags.h"

namespace sinew::tools {
namespace {

class TrainCommand {
 public:
  void add_to(Flags& flags);
  void run();

 private:
  void read_data();
  NetworkConfig network_over(const Dataset& data);
  Tensor target(const Dataset& data, const DataFlags& files) const;  // or labels as positions
  void split_and_scale();
  void build_network();
  Settings settings() const;  // before a checkpoint changes the weights
  void open_folder();
  void train();
  std::string summary() const;
  std::string epoch_line(const EpochRecord& r) const;

  RunFlags run_flags_;
  DataFlags data_flags_;
  NetworkFlags network_flags_;
  TrainFlags flags_;

  TrainOptions options_;
  Model model_;
  TrainData data_;
  TorchGenerator generator_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<RunFolder> folder_;
  Settings settings_;
};

void TrainCommand::add_to(Flags& flags) {
  add_data_flags(flags, data_flags_).required();
  network_flags_.add_to(flags);
  flags_.add_to(flags);
  add_run_flags(flags, run_flags_);
}

void TrainCommand::run() {
  run_flags_.apply();
  folder_ = std::make_unique<RunFolder>(flags_.out);
  if (!flags_.resume && !flags_.overwrite) folder_->require_new();
  read_data();
  split_and_scale();
  build_network();
  open_folder();
  work_starts();
  train();
}

void TrainCommand::read_data() {
  const DType dtype = run_flags_.data_type();
  const Dataset data = read_dataset(data_flags_, dtype);
  options_ = flags_.options(run_flags_, data.integer_target);
  model_.loss = options_.loss;
  model_.inputs = data.names.inputs;
  model_.targets = data.names.targets;
  for (const auto* names : {&model_.inputs, &model_.targets})
    for (const std::string& name : *names)
      if (one_line(name) != name)
        throw Error(data_flags_.data + ": a column's name is no UTF-8 text (" + name + ")");
  model_.config = network_over(data);
  data_.x = data.x;
  data_.y = target(data, data_flags_);
  if (flags_.val_data.empty()) return;
  DataFlags files = data_flags_;
  files.data = flags_.val_data;
  files.target = flags_.val_target;
  const Dataset validation = read_dataset(files, dtype, data.names);
  require_inputs(model_.config, validation.x, validation.grid, files.data);
  data_.val_x = validation.x;
  data_.val_y = target(validation, files);
}

// The flags' network on these data. The labels of a classifier are 0 .. output_dim - 1 where that
// is given, else those that occur.
NetworkConfig TrainCommand::network_over(const Dataset& data) {
  NetworkConfig base;
  base.output_dim = left_open;
  const NetworkConfig config = network_flags_.config(base);
  if (options_.loss.kind != LossKind::cross_entropy)
    return fit_to_data(config, data.x.dim(1), data.grid, data.y.dim(1));
  if (config.output_dim > max_classes)
    throw Error("more than 65536 classes (output_dim " + std::to_string(config.output_dim) + ")");
  for (int64_t i = 0; i < config.output_dim; ++i) model_.classes.push_back(i);
  if (config.output_dim == left_open)
    model_.classes = classes_of(data, data_flags_.target_file(),
                                flags_.names_loss() ? Classes::by_a_flag : Classes::by_the_data);
  const auto outputs = static_cast<int64_t>(model_.classes.size());
  return fit_to_data(config, data.x.dim(1), data.grid, outputs);
}

Tensor TrainCommand::target(const Dataset& data, const DataFlags& files) const {
  return options_.loss.kind == LossKind::cross_entropy
             ? label_positions(data.y, model_.classes, files.target_file())
             : data.y;
}

void TrainCommand::split_and_scale() {
  if (flags_.val_fraction > 0) {
    const Split rows = split_rows(data_.x.dim(0), flags_.val_fraction, flags_.seed);
    data_ = {gather(data_.x, rows.train), gather(data_.y, rows.train),
             gather(data_.x, rows.validation), gather(data_.y, rows.validation)};
  }
  const auto scale = [](std::optional<Scaler>& scaler, Tensor& train, Tensor& validation) {
    scaler = standard_scaler(train);
    require_finite("means of --scale-x or --scale-y", scaler->shift);
    require_finite("deviations of --scale-x or --scale-y", scaler->scale);
    train = scaler->apply(train);
    if (validation.defined()) validation = scaler->apply(validation);
  };
  if (flags_.scale_x) scale(model_.x_scaler, data_.x, data_.val_x);
  if (flags_.scale_y) scale(model_.y_scaler, data_.y, data_.val_y);
  data_.y_scaler = model_.y_scaler;
}

void TrainCommand::build_network() {
  generator_.seed(flags_.seed);
  seed_masks(static_cast<uint64_t>(flags_.seed));
  model_.net = make_network(model_.config, generator_);
  model_.net->to(run_flags_.network_type());
  if (!flags_.init.empty()) {
    const NamedTensors weights = read_safetensors(flags_.init);
    about(flags_.init,
          [&] { model_.net->load_state(weights, flags_.strict ? Strict::yes : Strict::no); });
  }
  trainer_ = std::make_unique<Trainer>(*model_.net, data_, options_, generator_);
}

std::string number(double v) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, v).ptr};
}

Settings TrainCommand::settings() const {
  const TrainOptions& o = options_;
  std::string weights, classes, scalers;
  for (const NamedTensor& t : model_.net->state()) weights += fingerprint(t.tensor);
  for (const int64_t label : model_.classes) classes += std::to_string(label) + " ";
  for (const auto& scaler : {model_.x_scaler, model_.y_scaler})
    if (scaler) scalers += fingerprint(scaler->shift) + fingerprint(scaler->scale);
  return {{"network", to_json(model_.config)},
          {"initial weights", fingerprint(weights)},
          {"precision", run_flags_.precision},
          {"seed", std::to_string(flags_.seed)},
          {"epochs", std::to_string(o.epochs)},
          {"batch_size", std::to_string(o.batch_size)},
          {"optimizer", name(o.optimizer)},
          {"betas", number(o.adam.beta1) + "," + number(o.adam.beta2)},
          {"eps", number(o.adam.eps)},
          {"momentum", number(o.sgd.momentum)},
          {"weight_decay", number(o.adam.weight_decay)},
          {"schedule", name(o.schedule.curve)},
          {"lr", number(o.schedule.lr)},
          {"lr_min", number(o.schedule.lr_min)},
          {"warmup_steps", std::to_string(o.schedule.warmup_steps)},
          {"step_size", std::to_string(o.schedule.step_size)},
          {"gamma", number(o.schedule.gamma)},
          {"loss", name(o.loss.kind)},
          {"loss_beta", number(o.loss.beta)},
          {"loss_delta", number(o.loss.delta)},
          {"shuffle", o.shuffle == Shuffle::yes ? "yes" : "no"},
          {"clip_norm", number(o.clip_norm)},
          {"on_nonfinite", name(o.on_nonfinite)},
          {"patience", std::to_string(o.patience)},
          {"classes", fingerprint(classes)},
          {"scaling", fingerprint(scalers)},
          {"data", fingerprint(data_.x)},
          {"target", fingerprint(data_.y)},
          {"validation data", fingerprint(data_.val_x)},
          {"validation target", fingerprint(data_.val_y)}};
}

// The last checks, then the folder is made ready; after this only the disk can fail.
void TrainCommand::open_folder() {
  if (stop_signal() != 0) throw Stopped(" before the first step");
  settings_ = settings();
  folder_->take();
  if (!flags_.resume && !flags_.overwrite) folder_->require_new();  // none came in between
  const bool resumes = flags_.resume && folder_->has_checkpoint();
  if (resumes) {
    const Curve curve = options_.schedule.curve;
    folder_->require_same(
        settings_, options_.patience == 0 && (curve == Curve::constant || curve == Curve::step));
    trainer_->set_state(read_safetensors(folder_->checkpoint()));
  }
  folder_->prepare(resumes ? RunFolder::Checkpoint::keep : RunFolder::Checkpoint::remove);
}

// What was made of the data and the flags, before the first epoch.
std::string TrainCommand::summary() const {
  const NetworkConfig& c = model_.config;
  std::string text = std::to_string(data_.x.dim(0)) + " rows";
  if (data_.val_x.defined()) text += ", " + std::to_string(data_.val_x.dim(0)) + " for validation";
  text += "; " + std::to_string(c.input_dim) + " inputs";
  if (c.model == ModelKind::geo_sparse)
    text += " on a " + std::to_string(c.connectivity.shape[0]) + " x " +
            std::to_string(c.connectivity.shape[1]) + " grid";
  const bool classifies = options_.loss.kind == LossKind::cross_entropy;
  text += "; " + std::to_string(c.output_dim) + (classifies ? " class" : " target");
  if (c.output_dim > 1) text += classifies ? "es" : "s";
  for (size_t i = 0; i < model_.targets.size(); ++i)
    text += (i == 0 ? " (" : ", ") + model_.targets[i] + (i + 1 < model_.targets.size() ? "" : ")");
  return text + "; loss " + name(options_.loss.kind) + "; " +
         std::to_string(model_.net->parameter_count()) + " parameters";
}

std::string TrainCommand::epoch_line(const EpochRecord& r) const {
  char text[160], val[64] = "", merit[48] = "";
  if (r.val_loss) std::snprintf(val, sizeof val, "  val_loss %.6g", *r.val_loss);
  if (r.val_accuracy)
    std::snprintf(merit, sizeof merit, "  val_accuracy %.1f %%", 100 * *r.val_accuracy);
  if (r.val_metrics) std::snprintf(merit, sizeof merit, "  val_r2 %.4f", r.val_metrics->r2);
  std::snprintf(text, sizeof text, "epoch %" PRId64 "/%" PRId64 "  train_loss %.6g%s%s  lr %.3g",
                r.epoch, options_.epochs, r.train_loss, val, merit, r.lr);
  return text;
}

void TrainCommand::train() {
  folder_->write_settings(settings_, environment(run_flags_).dump(1) + "\n");
  notice(run_flags_, summary());
  const int64_t total = options_.epochs * trainer_->steps_per_epoch();
  bool finished = false;
  {
    Progress progress(run_flags_, total, trainer_->steps_done());
    FitOptions fit_options{.checkpoint = folder_->checkpoint(),
                           .checkpoint_every = flags_.checkpoint_every};
    fit_options.after_step = [&](const Trainer& t) {
      const int64_t done = t.steps_done(), each = t.steps_per_epoch();
      progress.step(done, "epoch " + std::to_string((done - 1) / each + 1) + "/" +
                              std::to_string(options_.epochs) + "  step " +
                              std::to_string((done - 1) % each + 1) + "/" + std::to_string(each));
    };
    fit_options.after_epoch = [&](const Trainer& t) {
      progress.unit(t.steps_done(), epoch_line(t.history().back()));
    };
    fit_options.after_checkpoint = [&](const Trainer& t) { folder_->write_history(t.history()); };
    fit_options.stop = [] { return stop_signal() != 0; };
    finished = fit(*trainer_, fit_options);
  }
  save_model(flags_.out, model_);
  if (!finished)
    throw Stopped(" after step " + std::to_string(trainer_->steps_done()) + " of " +
                  std::to_string(total) + "; --resume goes on from there");
  const auto& history = trainer_->history();
  const auto best = trainer_->best_epoch();
  std::string line = epoch_line(history.back());
  if (options_.patience > 0 && best)
    line = "best of " + std::to_string(history.size()) +
           " epochs: " + epoch_line(history[static_cast<size_t>(*best - 1)]);
  print(run_flags_, flags_.out + ": " + line + "\n");
}

}  // namespace

void add_train(Flags& program) {
  const auto command = std::make_shared<TrainCommand>();
  Flags flags = program.add_command("train", "Train a network on data files",
                                    "sinew train --data X.npy --target T.npy --depth 6 --out run",
                                    [command] { command->run(); });
  command->add_to(flags);
}

}  // namespace sinew::tools
