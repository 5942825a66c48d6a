// The only place that knows CLI11. What it does not have is added here: whole numbers that are
// refused where it takes the nearest one, switches that the help shows as --x,--no-x.
#include "flags.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <sstream>

#include "sinew/error.h"

namespace sinew::tools {
namespace {

// Without "{false}" behind the negative form of a switch.
class Help : public CLI::Formatter {
  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    std::string name = CLI::Formatter::make_option_name(option, positional);
    const std::string noise = "{false}";
    const auto at = name.find(noise);
    return at == std::string::npos ? name : name.erase(at, noise.size());
  }
};

void add_check(CLI::Option& option, const CLI::Validator& validator) {
  const std::string shown = option.get_default_str();
  if (!shown.empty() && !validator(shown).empty()) option.default_str("");
  option.check(validator);
}

void require_whole(CLI::Option& option, int64_t least, const std::string& needs) {
  const auto fault = [=](const std::string& text) {
    int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, value);
    const bool ok = parsed.ec == std::errc() && parsed.ptr == end && value >= least;
    return ok ? "" : "needs " + needs + " (" + text + ")";
  };
  add_check(option, {fault, "", needs});
}

template <class Value>
CLI::Option* add_value(CLI::App& app, const std::string& names, Value& value,
                       const std::string& what) {
  return app.add_option(names, value, what)->capture_default_str();
}

// f of a flag's value, its Error as one of CLI11.
template <class F, class... Value>
void call(const F& f, const Value&... value) {
  try {
    f(value...);
  } catch (const Error& error) {
    throw CLI::ValidationError(error.what());
  }
}

std::string both_names(const std::string& name) { return "--" + name + ",!--no-" + name; }

// "sinew sweep merge"
std::string full_name(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  return (parent == nullptr ? "" : full_name(*parent) + " ") + app.get_name();
}

void require_none_given(const CLI::App& outer, const CLI::App& command) {
  for (const CLI::Option* option : outer.get_options())
    if (option->count() > 0)
      throw Error(command.get_name() + " does not take " + option->get_name() + " (see " +
                  full_name(command) + " --help)");
}

// The first argument that nobody knows, else what CLI11 says.
std::string usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const auto unknown = app.remaining(true);
  return unknown.empty() ? error.what() : "unknown argument " + unknown[0] + " (see --help)";
}

}  // namespace

Flag Flag::required() {
  option_->required();
  return *this;
}
Flag Flag::needs(Flag other) {
  option_->needs(other.option_);
  return *this;
}
Flag Flag::excludes(Flag other) {
  option_->excludes(other.option_);
  return *this;
}
Flag Flag::group(const std::string& heading) {
  option_->group(heading);
  return *this;
}
Flag Flag::shown(const std::string& value) {
  option_->default_str(value);
  return *this;
}
Flag Flag::type(const std::string& name) {
  option_->type_name(name);
  return *this;
}

Flag Flag::whole_number() {
  require_whole(*option_, INT64_MIN, "a whole number of 64 bits");
  return *this;
}
Flag Flag::not_negative() {
  require_whole(*option_, 0, "a whole number, 0 or above");
  return *this;
}
Flag Flag::above_zero() {
  require_whole(*option_, 1, "a whole number above 0");
  return *this;
}
Flag Flag::range(int64_t low, int64_t high) {
  add_check(*option_, CLI::Range(low, high));
  return *this;
}
Flag Flag::one_of(const std::vector<std::string>& values) {
  add_check(*option_, CLI::IsMember(values));
  return *this;
}
Flag Flag::check(const std::function<std::string(const std::string&)>& fault,
                 const std::string& type) {
  add_check(*option_, {fault, type});
  return *this;
}
Flag Flag::list() {
  option_->delimiter(',')->allow_extra_args(false);
  return *this;
}

Flag Flags::add(const std::string& names, std::string& value, const std::string& what) {
  return Flag(add_value(*app_, names, value, what));
}
Flag Flags::add(const std::string& names, int& value, const std::string& what) {
  return Flag(add_value(*app_, names, value, what));
}
Flag Flags::add(const std::string& names, int64_t& value, const std::string& what) {
  return Flag(add_value(*app_, names, value, what));
}
Flag Flags::add(const std::string& names, size_t& value, const std::string& what) {
  return Flag(add_value(*app_, names, value, what));
}
Flag Flags::add(const std::string& names, double& value, const std::string& what) {
  return Flag(add_value(*app_, names, value, what));
}
Flag Flags::add(const std::string& names, bool& value, const std::string& what) {
  return Flag(app_->add_flag(names, value, what));
}
Flag Flags::add(const std::string& names, std::optional<std::string>& value,
                const std::string& what) {
  return Flag(app_->add_option(names, value, what));
}
Flag Flags::add(const std::string& names, std::vector<std::string>& value,
                const std::string& what) {
  return Flag(app_->add_option(names, value, what)
                  ->allow_extra_args(false)
                  ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll));
}
Flag Flags::add(const std::string& names, const std::function<void(const std::string&)>& take,
                const std::string& what) {
  const auto taken = [take](const std::string& text) { call(take, text); };
  return Flag(app_->add_option_function<std::string>(names, taken, what));
}
Flag Flags::add(const std::string& names, const std::function<void()>& take,
                const std::string& what) {
  return Flag(app_->add_flag_callback(
      names, [take] { call(take); }, what));
}

Flag Flags::add_switch(const std::string& name, bool& value, const std::string& what) {
  return Flag(app_->add_flag(both_names(name), value, what + (value ? " [on]" : " [off]")));
}
Flag Flags::add_switch(const std::string& name, const std::function<void(bool)>& take,
                       const std::string& what) {
  const auto taken = [take](int64_t sum) { call(take, sum > 0); };
  return Flag(app_->add_flag_function(both_names(name), taken, what)
                  ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast));
}

void Flags::refuse(const std::string& name, const std::string& why) {
  const auto fail = [name, why](const std::string&) {
    throw Error(name + " has no meaning here: " + why);
  };
  add(name, fail, "").group("").option_->expected(0, 1);
}

Flag Flags::get(const std::string& name) { return Flag(app_->get_option(name)); }

Flags Flags::add_command(const std::string& name, const std::string& what,
                         const std::string& example, const std::function<void()>& run) {
  CLI::App* command = app_->add_subcommand(name, what);
  command->formatter(std::make_shared<Help>());
  command->footer("Example: " + example);
  command->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  command->callback([outer = app_, command, run] {
    if (!command->get_subcommands().empty()) return;  // whose callback came before
    require_none_given(*outer, *command);
    run();
  });
  return Flags(command);
}

Program::Program(const std::string& name, const std::string& version, const std::string& what)
    : Flags(new CLI::App(what, name)), owner_(app_) {
  app_->set_version_flag("--version", version);
  app_->require_subcommand(1);
}
Program::~Program() = default;

bool Program::has_command(const std::string& name) const {
  const CLI::App& app = *app_;
  return !app.get_subcommands([&](const CLI::App* c) { return c->get_name() == name; }).empty();
}

std::string Program::run(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
    return "";
  } catch (const CLI::Success& asked) {
    std::ostringstream text;
    app_->exit(asked, text, text);
    return text.str();
  } catch (const CLI::ParseError& error) {
    throw Error(usage_error(*app_, error));
  }
}

}  // namespace sinew::tools
