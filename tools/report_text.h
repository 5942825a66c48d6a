// Numbers and text as the page and its charts show them.
#pragma once
#include <string>

namespace sinew::tools {

// Text of a file within HTML, between tags and in attributes; control characters as \xHH.
std::string html(const std::string& text);
// Four significant digits, from 100000 on in powers of ten; a dash for what is not finite.
std::string number(double value);
// As number, on an axis: 20k, 1.5M, 1e-5.
std::string short_number(double value);
std::string percent(double share);                        // "96.2 %"
std::string plural(long long n, const std::string& one);  // "1 cell", "2 cells"

}  // namespace sinew::tools
