// make_log DIR SIZE...: writes a log into DIR with core/log's own encoders, published at each of the sizes in turn, for
// tests/support/check_log.py to check. Prints the keys of the log and of its witness. Keys are made anew each time.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "core/log/checkpoint.h"
#include "core/log/epoch.h"
#include "core/log/merkle.h"
#include "core/log/tiles.h"

namespace {

using hallpass::Digest;

constexpr char kOrigin[] = "log.example.org";
constexpr long long kNow = 1760000000, kEvery = 100;

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  if (!out.flush()) std::exit(1);
}

class Writer {
 public:
  explicit Writer(std::filesystem::path directory) : directory_(std::move(directory)) {}

  void publish(std::size_t size) {
    while (entries_.size() < size) add(entries_.size());
    write_bundles();
    write_tiles();
    const std::string text = hallpass::format_checkpoint({kOrigin, entries_.size(), frontier_.root()});
    std::string note = hallpass::with_signature(text, log.sign_line(text));
    note = hallpass::with_signature(note, witness.sign_line(text, hallpass::from_unix(kNow)));
    write(directory_ / hallpass::kCheckpointPath, note);
  }

  hallpass::NoteSigner log = hallpass::NoteSigner::generate(kOrigin, hallpass::NoteKeyType::ed25519);
  hallpass::NoteSigner witness = hallpass::NoteSigner::generate("witness", hallpass::NoteKeyType::cosignature);

 private:
  void add(std::size_t index) {
    std::string entry = "entry " + std::to_string(index);
    if (index % 7 == 0) entry.clear();
    if (index % kEvery == kEvery - 1) {
      entry = hallpass::format_epoch({"acme", kOrigin, index / kEvery, 0, hallpass::from_unix(kNow)}, log);
    }
    frontier_.add(hallpass::leaf_hash(hallpass::as_bytes(entry)));
    leaves_.push_back(hallpass::leaf_hash(hallpass::as_bytes(entry)));
    entries_.push_back(std::move(entry));
  }

  template <class Item, class Encode>
  static std::string part(const std::vector<Item>& all, std::size_t low, std::size_t count, Encode encode) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(low);
    return encode(std::vector<Item>(begin, begin + static_cast<std::ptrdiff_t>(count)));
  }

  void write_bundles() {
    for (std::size_t low = 0; low < entries_.size(); low += hallpass::kTileWidth) {
      const std::size_t width = hallpass::tile_width(0, low / hallpass::kTileWidth, entries_.size());
      write(directory_ / hallpass::bundle_path(low / hallpass::kTileWidth, width),
            part(entries_, low, width, hallpass::encode_bundle));
    }
  }

  void write_tiles() {
    std::vector<Digest> row = leaves_;
    for (unsigned level = 0; level <= hallpass::top_level(entries_.size()); ++level) {
      std::vector<Digest> above;
      for (std::size_t low = 0; low < row.size(); low += hallpass::kTileWidth) {
        const std::size_t width = hallpass::tile_width(level, low / hallpass::kTileWidth, entries_.size());
        write(directory_ / hallpass::tile_path(level, low / hallpass::kTileWidth, width),
              part(row, low, width, hallpass::encode_tile));
        hallpass::Frontier full;
        for (std::size_t i = 0; i < width; ++i) full.add(row[low + i]);
        if (width == hallpass::kTileWidth) above.push_back(full.root());
      }
      row = std::move(above);
    }
  }

  std::filesystem::path directory_;
  hallpass::Frontier frontier_;
  std::vector<std::string> entries_;
  std::vector<Digest> leaves_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  Writer writer(argv[1]);
  for (int i = 2; i < argc; ++i) writer.publish(std::strtoul(argv[i], nullptr, 10));
  std::printf("%s\n%s\n", writer.log.verifier().text().c_str(), writer.witness.verifier().text().c_str());
  return 0;
}
