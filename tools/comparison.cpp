// One comparison: data, networks, training, results. All networks are built before the first is
// trained, in the order of contenders() (compare.h), so that curves are the reference's.
#include "comparison.h"

#include "comparison_record.h"
#include "environment.h"
#include "sinew/ops.h"

namespace sinew::tools {

using Json = nlohmann::ordered_json;

struct Comparison::Impl {
  Impl(const ComparisonSettings& s, const RunFlags& r, std::optional<FileTask> f);
  Json run_one(size_t which, const Watch& watch);

  ComparisonSettings settings;
  RunFlags run;
  std::optional<FileTask> files;
  Task task;
  ComparisonData data;
  std::vector<Contender> contenders;
  std::vector<TorchGenerator> generators;  // one, or one per model
  std::vector<std::unique_ptr<Network>> nets;

  TorchGenerator& generator(size_t which) { return generators[which % generators.size()]; }
};

Comparison::Impl::Impl(const ComparisonSettings& s, const RunFlags& r, std::optional<FileTask> f)
    : settings(completed(s)), run(r), files(std::move(f)) {
  contenders = sinew::contenders(settings.network, settings.contenders);
  task = files ? files->task : make_task(settings.task);
  for (Tensor* t : {&task.x, &task.test_x}) *t = cast(*t, run.data_type());
  if (settings.train.loss.kind == LossKind::mse)
    for (Tensor* t : {&task.y, &task.test_y}) *t = cast(*t, run.data_type());
  data = prepare(task, settings.data);
  const bool fresh = settings.seeding == Seeding::fresh_per_model;
  for (size_t i = 0; i < (fresh ? contenders.size() : 1); ++i)
    generators.emplace_back(settings.seed);
  for (size_t i = 0; i < contenders.size(); ++i) {
    nets.push_back(make_network(contenders[i].config, generator(i)));
    nets[i]->to(run.network_type());
  }
  seed_masks(static_cast<uint64_t>(settings.seed));
}

Json Comparison::Impl::run_one(size_t which, const Watch& watch) {
  if (settings.seeding == Seeding::fresh_per_model)
    seed_masks(static_cast<uint64_t>(settings.seed));
  const Contender& contender = contenders[which];
  const auto after_step = [&](const Trainer& trainer) { watch(contender.name, trainer); };
  const ContenderRun result =
      run_contender(*nets[which], data, settings.train, generator(which), after_step);
  return model_json(contender, nets[which]->trainable_count(), result, settings,
                    data.data.x.dim(0));
}

Comparison::Comparison(const ComparisonSettings& settings, const RunFlags& run,
                       std::optional<FileTask> files)
    : impl_(std::make_unique<Impl>(settings, run, std::move(files))) {}
Comparison::~Comparison() = default;

int64_t Comparison::training_rows() const { return impl_->data.data.x.dim(0); }

int64_t Comparison::steps() const {
  const TrainOptions& o = impl_->settings.train;
  const int64_t batches = (training_rows() + o.batch_size - 1) / o.batch_size;
  return o.epochs * batches * static_cast<int64_t>(impl_->nets.size());
}

std::vector<std::string> Comparison::warnings() const {
  std::vector<std::string> out;
  const int64_t target = impl_->contenders[0].parameters.empirical;
  for (const Contender& c : impl_->contenders) {
    if (!c.match || c.match->ratio <= impl_->settings.match_tolerance) continue;
    char percent[32];
    std::snprintf(percent, sizeof percent, "%.1f", 100 * c.match->ratio);
    out.push_back(c.name + " of width " + std::to_string(c.match->width) + " has " +
                  std::to_string(c.match->parameters) + " parameters, geo_sparse " +
                  std::to_string(target) + ": " + percent + " % apart");
  }
  return out;
}

Json Comparison::run(const Watch& watch) {
  Impl& i = *impl_;
  Json models = Json::array(), lines = Json::array();
  for (const ReferenceLine& line : reference_lines(i.data, i.files ? i.files->classes : 0))
    lines.push_back(line_json(line));
  for (size_t which = 0; which < i.nets.size(); ++which) models.push_back(i.run_one(which, watch));
  return {{"environment", environment(i.run)},
          {"manifest", manifest(i.settings, i.run, i.files, i.contenders, i.data, i.task)},
          {"reference_lines", lines},
          {"models", models}};
}

}  // namespace sinew::tools
