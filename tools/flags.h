// The flags of a subcommand: names, values, checks, help. CLI11 behind it takes seconds to compile
// and is included by flags.cpp alone.
//
//   Flags flags = program.add_command("count", "Count rows", "sinew count FILE", [&] { ... });
//   flags.add("FILE", file, "what to count").required();           // std::string file
//   flags.add("--limit,--max", limit, "stop there").above_zero();  // int64_t limit = 10
//   flags.add("--json", json, "print JSON");                       // bool: takes no value
//   flags.add_switch("strict", strict, "refuse empty rows");       // --strict/--no-strict
//
// The help shows the value that a variable has when its flag is added, as the default; but not
// where the flag's checks refuse it: that stands for "not given". Of a flag given twice the last
// one counts.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace sinew::tools {

// A flag that was added.
class Flag {
 public:
  Flag required();
  Flag needs(Flag other);
  Flag excludes(Flag other);

  // In the help: under this heading; with this default; a value of this type.
  Flag group(const std::string& heading);
  Flag shown(const std::string& value);
  Flag type(const std::string& name);

  // What a value must be.
  Flag whole_number();  // of 64 bits
  Flag not_negative();  // a whole number
  Flag above_zero();    // a whole number
  Flag range(int64_t low, int64_t high);
  Flag one_of(const std::vector<std::string>& values);
  // `fault` says what is wrong with a text, "" if nothing is.
  Flag check(const std::function<std::string(const std::string&)>& fault, const std::string& type);

  Flag list();  // of a vector: several between commas

 private:
  friend class Flags;
  explicit Flag(CLI::Option* option) : option_(option) {}
  CLI::Option* option_;
};

// The flags of one subcommand, or of the program. A copy means the same ones.
class Flags {
 public:
  // "--name,--other-name", or "NAME" for an argument without a name.
  Flag add(const std::string& names, std::string& value, const std::string& what);
  Flag add(const std::string& names, int& value, const std::string& what);
  Flag add(const std::string& names, int64_t& value, const std::string& what);
  Flag add(const std::string& names, size_t& value, const std::string& what);
  Flag add(const std::string& names, double& value, const std::string& what);
  Flag add(const std::string& names, bool& value, const std::string& what);
  Flag add(const std::string& names, std::optional<std::string>& value, const std::string& what);
  // One more each time it is given.
  Flag add(const std::string& names, std::vector<std::string>& value, const std::string& what);
  // `take` gets the value, or (the second) is called; an Error of it is wrong usage.
  Flag add(const std::string& names, const std::function<void(const std::string&)>& take,
           const std::string& what);
  Flag add(const std::string& names, const std::function<void()>& take, const std::string& what);

  // --NAME/--no-NAME; of a variable the help shows its default.
  Flag add_switch(const std::string& name, bool& value, const std::string& what);
  Flag add_switch(const std::string& name, const std::function<void(bool)>& take,
                  const std::string& what);

  // A flag of other programs, hidden; given, it is an error that says why.
  void refuse(const std::string& name, const std::string& why);

  Flag get(const std::string& name);

  // A subcommand, or one of a subcommand (which refuses flags of that one). Calls `run` where its
  // name is the last one given. The help ends with the example.
  Flags add_command(const std::string& name, const std::string& what, const std::string& example,
                    const std::function<void()>& run);

 protected:
  explicit Flags(CLI::App* app) : app_(app) {}
  CLI::App* app_;
};

// What main() has: subcommands, --help, --version.
class Program : public Flags {
 public:
  Program(const std::string& name, const std::string& version, const std::string& what);
  ~Program();

  bool has_command(const std::string& name) const;
  // Runs the subcommand that the arguments name. Returns the help or the version if these were
  // asked for instead, else "". Throws Error for wrong usage, and what the subcommand throws.
  std::string run(int argc, char** argv);

 private:
  std::unique_ptr<CLI::App> owner_;
};

}  // namespace sinew::tools
