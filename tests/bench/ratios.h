// Google Benchmark's console output, and each benchmark's median kept for ratios at the end. Processor time: what is
// measured here waits for nothing, and the machine may be busy with more.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdio>
#include <map>
#include <string>

namespace hallpass::bench {

class Ratios : public benchmark::ConsoleReporter {
 public:
  Ratios() : ConsoleReporter(OO_Tabular) {}  // no colours: the output goes to logs

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& r : runs) {
      if (r.error_occurred) good_ = false;
      if (r.aggregate_name == "median") medians_[name_of(r)] = r.GetAdjustedCPUTime();
      // A fraction, whatever the unit.
      if (r.aggregate_name == "cv") spreads_[name_of(r)] = 100 * r.cpu_accumulated_time;
    }
    ConsoleReporter::ReportRuns(runs);
  }

  // Prints how many times as long `what` takes as `against`. Benchmarks are named "NAME" or "NAME/ARGUMENT".
  void compare(const std::string& name, const std::string& what, const std::string& against, double limit) {
    const auto a = medians_.find(what), b = medians_.find(against);
    const double ratio = a == medians_.end() || b == medians_.end() ? -1 : a->second / b->second;
    std::printf("ratio %s %.2f (limit %.2f)%s  [spread %.0f%% and %.0f%%]\n", name.c_str(), ratio, limit,
                ratio > limit ? "  OVER" : "", spreads_[what], spreads_[against]);
    // No answer is a failure too.
    if (!(ratio > 0 && ratio <= limit)) good_ = false;
  }
  bool good() const { return good_; }

 private:
  static std::string name_of(const Run& r) {
    return r.run_name.function_name + (r.run_name.args.empty() ? "" : "/" + r.run_name.args);
  }
  std::map<std::string, double> medians_, spreads_;
  bool good_ = true;
};

}  // namespace hallpass::bench
