// Reading the test vectors under tests/vectors (HALLPASS_VECTORS).
#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

// The whole file; a test that lacks its vectors aborts.
inline std::string read_whole_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    std::abort();
  }
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string read_vector(const std::string& name) {
  return read_whole_file(HALLPASS_VECTORS "/" + name);
}
