// What a NAT's behaviour means for a client of an SFU, for a media server behind it, and between two peers.
#pragma once

#include <string>
#include <vector>

#include "probe/nat/findings.h"

namespace turnkit::probe {

struct NatFindings {
  Presence presence = Presence::kUnknown;
  Known mapping, filtering;
  PortFinding ports;
  LayerFinding layers;
  bool one_to_one = false;
};
NatFindings findings_of(const NatEvidence& evidence);

// A sentence or two each.
std::string meaning_for_client(const NatFindings& findings);
// `mapped`: the address that the server saw.
std::string meaning_for_media_server(const NatFindings& findings, const Address& mapped);
std::string meaning_for_peers(const NatFindings& findings);

// The row of the pair matrix for these behaviours: "full cone: direct", ...
struct PairRow {
  const char* other = "";  // the other side's NAT
  std::optional<bool> direct;
};
std::vector<PairRow> pair_matrix(Behaviour mapping, Behaviour filtering);

}  // namespace turnkit::probe
