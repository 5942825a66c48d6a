// Formatting does not depend on the locale: the program sets none.
#include "report_text.h"

#include <cmath>
#include <cstdio>

#include "command.h"

namespace sinew::tools {
namespace {

constexpr const char* dash = "\u2013";

// 1e-05 as 1e-5.
std::string without_padding(std::string text) {
  const auto e = text.find('e');
  if (e == text.npos) return text;
  const size_t digits = e + 2;
  while (digits + 1 < text.size() && text[digits] == '0') text.erase(digits, 1);
  if (text[e + 1] == '+') text.erase(e + 1, 1);
  return text;
}

}  // namespace

std::string html(const std::string& text) {
  std::string out;
  for (const char c : one_line(text)) switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  return out;
}

std::string number(double value) {
  if (!std::isfinite(value)) return dash;
  if (value == std::floor(value) && std::abs(value) < 1e7) return format("%.0f", value);
  if (std::abs(value) >= 1000 && std::abs(value) < 1e5) return format("%.0f", value);
  return without_padding(format("%#.4g", value));
}

std::string short_number(double value) {
  const double size = std::abs(value);
  if (size >= 1e9 || size < 1e4) return without_padding(format("%.6g", value));
  return size >= 1e6 ? format("%.6gM", value / 1e6) : format("%.6gk", value / 1e3);
}

std::string percent(double share) {
  return std::isfinite(share) ? format("%.1f %%", 100 * share) : dash;
}

std::string plural(long long n, const std::string& one) {
  return std::to_string(n) + " " + one + (n == 1 ? "" : "s");
}

}  // namespace sinew::tools
