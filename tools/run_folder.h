// The folder of one training: may it be used, does its checkpoint belong to this training, and its
// files besides the model's (model.h):
//
//   DIR/history.json                     one object per epoch
//   DIR/env.json                         build and machine, as `sinew info --json`
//   DIR/checkpoint/settings.json         all that the numbers depend on, for --resume
//   DIR/checkpoint/state.safetensors     Trainer::state()
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "file_lock.h"
#include "sinew/train.h"

namespace sinew::tools {

// Name and value of everything that the numbers of a training depend on, in a fixed order.
using Settings = std::vector<std::pair<std::string, std::string>>;

// With the folders that lead to it.
void make_folder(const std::string& path);
// Throws if a folder exists in which no file can be made.
void require_writable_folder(const std::string& path);
// What killed writers left in a folder (io.h).
void remove_temporaries(const std::string& folder);

// PARENT/20261121_183000, the local time: where results go that were given no folder.
std::string dated_folder(const std::string& parent);

class RunFolder {
 public:
  explicit RunFolder(std::string path);  // throws for an empty one

  // Throws if the folder holds a run, or is no folder.
  void require_new() const;
  bool has_checkpoint() const;
  // Throws, naming the first difference, unless the checkpoint was made with these settings. A
  // training without early stopping whose rate does not depend on its length may have more epochs.
  void require_same(const Settings& settings, bool may_be_longer) const;
  std::string checkpoint() const;  // the file of Trainer::state()

  // Makes the folder and keeps other trainings out of it. Throws if it cannot be made or written,
  // or if another run is in it.
  void take();
  // A place for checkpoints without temporaries of killed runs; without the checkpoint too, where
  // the training starts anew. The model stays until a new one is written.
  enum class Checkpoint : uint8_t { keep, remove };
  void prepare(Checkpoint checkpoint) const;
  void write_settings(const Settings& settings, const std::string& environment) const;
  void write_history(const std::vector<EpochRecord>& history) const;

 private:
  std::string path_;
  std::optional<FileLock> lock_;
};

}  // namespace sinew::tools
