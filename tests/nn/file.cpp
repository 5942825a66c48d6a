#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "nn/files.h"
#include "sinew/io.h"

using namespace sinew;
using namespace sinew::test;

TEST_CASE("file: whole files go out and come back") {
  const Folder folder;
  const std::string path = folder / "a";
  for (const std::string& content :
       {std::string(), std::string("x\0y\n", 4), std::string(300000, 'z')}) {
    write_file(path, content);
    CHECK(read_file(path) == content);
    CHECK(folder.files() == 1);
  }
}

TEST_CASE("file: links stay, permissions stay") {
  const Folder folder;
  write_file(folder / "target", "old");
  chmod((folder / "target").c_str(), 0640);
  REQUIRE(symlink("target", (folder / "link").c_str()) == 0);
  write_file(folder / "link", "new");
  CHECK(read_file(folder / "target") == "new");
  CHECK(std::filesystem::is_symlink(folder / "link"));
  struct stat status;
  REQUIRE(stat((folder / "target").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);
  CHECK(folder.files() == 2);
}

TEST_CASE("file: what is not a regular file is written directly") {
  write_file("/dev/null", "gone");
  CHECK(error_of([] { write_file("/dev/full", "x"); }) ==
        "/dev/full: writing failed (No space left on device)");
  const Folder folder;
  const std::string pipe = folder / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  write_file(pipe, "through");
  char got[16] = {};
  CHECK(read(reader, got, sizeof got) == 7);
  CHECK(std::string(got) == "through");
  close(reader);
  CHECK(std::filesystem::is_fifo(pipe));
}

TEST_CASE("file: a failed write leaves the earlier file and no temporary") {
  const Folder folder;
  const std::string path = folder / "a";
  write_file(path, "earlier");
  struct rlimit before, small;
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  small = before;
  small.rlim_cur = 1000;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string error = error_of([&] { write_file(path, std::string(5000, 'x')); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(error == path + ": writing failed (File too large)");
  CHECK(read_file(path) == "earlier");
  CHECK(folder.files() == 1);
}

TEST_CASE("file: errors name the file") {
  const Folder folder;
  CHECK(error_of([&] { read_file(folder / "none"); }) ==
        folder / "none" + ": cannot be read (No such file or directory)");
  CHECK(error_of([&] { read_file(folder.path); }) == folder.path + ": is a folder");
  CHECK(error_of([&] { write_file(folder.path, ""); }) == folder.path + ": is a folder");
  CHECK(error_of([&] { write_file(folder / "no/file", ""); }) ==
        folder / "no/file" + ": cannot be written (No such file or directory)");
  CHECK(error_of([&] { write_file(folder / "a\nb/c", ""); }) ==
        folder / "a\\x0ab/c: cannot be written (No such file or directory)");
  write_file(folder / "a", "");
  CHECK(error_of([&] { write_file(folder / "a/b", ""); }) ==
        folder / "a/b: cannot be written (Not a directory)");
}

TEST_CASE("file: errors are one line of UTF-8, whatever the file holds") {
  const auto shown = [](const std::string& cell) {
    const std::string error = error_of([&] { parse_csv("1\n" + cell); });
    const std::string before = "csv: line 2, column 1: not a number ('";
    CHECK(error.substr(0, before.size()) == before);
    return error.substr(before.size(), error.size() - before.size() - 2);
  };
  for (const char* text : {"plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xc2\xa0",
                           "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"})
    CHECK(shown(text) == text);
  CHECK(shown("a\x1b[2Jb") == "a\\x1b[2Jb");
  CHECK(shown("a\x7f") == "a\\x7f");
  CHECK(shown("\xc2\x9b") == "\\xc2\\x9b");           // a control character of two bytes
  CHECK(shown("\x9b") == "\\x9b");                    // no first byte
  CHECK(shown("\xff") == "\\xff");                    // nor this
  CHECK(shown("\xc3") == "\\xc3");                    // cut
  CHECK(shown("\xc3(") == "\\xc3(");                  // no second byte
  CHECK(shown("\xe0\x9f\xbf") == "\\xe0\\x9f\\xbf");  // overlong
  CHECK(shown("\xf0\x8f\xbf\xbf") == "\\xf0\\x8f\\xbf\\xbf");
  CHECK(shown("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // a surrogate
  CHECK(shown("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // above the last character
  CHECK(shown(std::string(81, 'x')) == std::string(80, 'x') + "...");
  CHECK(shown(std::string(80, 'x')) == std::string(80, 'x'));
  CHECK(shown("x" + std::string(90, '\x01')).size() == 81 + 3);
}

TEST_CASE("file: larger than memory is refused before it is read") {
  const Folder folder;
  const std::string path = folder / "huge";
  write_file(path, "x");
  const bool sparse = truncate(path.c_str(), off_t{1} << 43) == 0;  // 8 TiB, all holes
  WARN_MESSAGE(sparse, "this file system has no files of 8 TiB");
  if (!sparse) return;
  const std::string error = error_of([&] { read_file(path); });
  CHECK(error.find(path + ": file is larger than memory (8796093022208 bytes, memory ") == 0);
}
