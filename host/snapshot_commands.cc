#include "host/snapshot_generated.h"
#include "host/snapshot_reader.h"

namespace hallpass {
namespace {

using Strings = flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>;
using Commands = flatbuffers::Vector<flatbuffers::Offset<fb::Command>>;

std::string text(const flatbuffers::String* s) {
  return s == nullptr ? std::string() : std::string(s->data(), s->size());
}

std::vector<std::string> texts(const Strings* list) {
  std::vector<std::string> out;
  out.reserve(list == nullptr ? 0 : list->size());
  for (flatbuffers::uoffset_t i = 0; list != nullptr && i < list->size(); ++i) out.push_back(text(list->Get(i)));
  return out;
}

bool ends_in_component(std::string_view path, std::string_view name) {
  return path.size() > name.size() && path.ends_with(name) && path[path.size() - name.size() - 1] == '/';
}

}  // namespace

std::size_t CommandList::size() const {
  return vector_ == nullptr ? 0 : static_cast<const Commands*>(vector_)->size();
}

Command CommandList::at(std::size_t i) const {
  const fb::Command& c = *static_cast<const Commands*>(vector_)->Get(static_cast<flatbuffers::uoffset_t>(i));
  Command command;
  command.kind = static_cast<Command::Kind>(c.kind());
  command.as_user = text(c.as_user());
  command.as_group = text(c.as_group());
  command.executables = texts(c.executables());
  command.arguments = texts(c.arguments());
  command.sha256 = text(c.sha256());
  command.subcommands = static_cast<Subcommands>(c.subcommands());
  command.env_keep = texts(c.env_keep());
  command.unbounded = c.unbounded();
  command.password = c.password();
  return command;
}

bool CommandList::may_name(std::size_t i, std::string_view name) const {
  const fb::Command& c = *static_cast<const Commands*>(vector_)->Get(static_cast<flatbuffers::uoffset_t>(i));
  if (static_cast<Command::Kind>(c.kind()) != Command::Kind::run) return true;
  const Strings* list = c.executables();
  for (flatbuffers::uoffset_t k = 0; list != nullptr && k < list->size(); ++k) {
    if (ends_in_component({list->Get(k)->data(), list->Get(k)->size()}, name)) return true;
  }
  return false;
}

}  // namespace hallpass
