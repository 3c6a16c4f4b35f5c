// Prefix beam search (Graves 2012, section 7.5.3; Hannun et al. 2014): the likeliest readings of a CTC output.
// Runs on the binding's side, with containers: its time goes into choosing, not into arithmetic on vectors.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <utility>
#include <vector>

namespace elman {

// A reading and the logarithm of the summed probability of the paths to it that were kept.
struct Reading {
    std::vector<int64_t> labels;
    double log_probability;
};

class BeamSearch {
  public:
    BeamSearch(long classes, long blank, long width) : classes_(classes), blank_(blank), width_(width) {}

    // The likeliest readings of (steps, classes) logits, best first; none if `stop`, asked at every step, says so.
    template <class T, class Stop>
    std::vector<Reading> operator()(const T* logits, long steps, Stop&& stop) {
        prefixes_.assign(1, {-1, -1});
        child_.clear();
        beams_.assign(1, beam_of(0, 0, kNever));
        std::vector<Reading> readings;
        for (long t = 0; t < steps; ++t) {
            if (stop()) return readings;
            step(logits + t * classes_);
        }
        for (const Beam& beam : beams_) readings.push_back({labels_of(beam.prefix), beam.both});
        return readings;
    }

  private:
    static constexpr double kNever = -std::numeric_limits<double>::infinity();

    // One more label than its parent; 0 is the empty one. Every prefix is here once, so equal ones always meet.
    struct Prefix {
        int64_t parent, label;
    };

    struct Beam {
        int64_t prefix;
        double blank, label, both;  // log probability of its paths that end in a blank, in its last label, in either
    };

    static Beam beam_of(int64_t prefix, double blank, double label) {
        return {prefix, blank, label, log_sum(blank, label)};
    }

    // A beam of the step to come: a beam that stays as it is (label -1), or one with a label added.
    struct Candidate {
        double log_probability;
        int64_t from, label;
        // The likelier first; of equals by place, so that the order is the same in every run.
        bool operator<(const Candidate& other) const {
            if (log_probability != other.log_probability) return log_probability > other.log_probability;
            return std::make_pair(from, label) < std::make_pair(other.from, other.label);
        }
    };

    static double log_sum(double a, double b) {
        if (a < b) std::swap(a, b);
        return b == kNever ? a : a + std::log1p(std::exp(b - a));
    }

    template <class T>
    void set_log_probabilities(const T* row) {
        log_y_.assign(row, row + classes_);
        const double top = *std::max_element(log_y_.begin(), log_y_.end());
        double total = 0;
        for (const double x : log_y_) total += std::exp(x - top);
        const double log_total = top + std::log(total);
        for (double& x : log_y_) x -= log_total;
        by_probability_.resize(log_y_.size());
        std::iota(by_probability_.begin(), by_probability_.end(), 0);
        std::sort(by_probability_.begin(), by_probability_.end(), [this](int64_t a, int64_t b) {
            return log_y_[static_cast<size_t>(a)] > log_y_[static_cast<size_t>(b)];
        });
    }

    template <class T>
    void step(const T* row) {
        set_log_probabilities(row);
        const size_t count = beams_.size();
        stay_.clear();
        candidates_.clear();
        taken_.assign(count * static_cast<size_t>(classes_), false);
        place_.clear();
        for (size_t i = 0; i < count; ++i) place_.emplace(beams_[i].prefix, i);
        for (size_t j = 0; j < count; ++j) {
            const Prefix& prefix = prefixes_[static_cast<size_t>(beams_[j].prefix)];
            double label = kNever;
            if (prefix.label >= 0) {
                label = beams_[j].label + log_y_[static_cast<size_t>(prefix.label)];
                const auto parent = place_.find(prefix.parent);
                if (parent != place_.end()) {  // its parent, one label longer, is the same reading
                    label = log_sum(label, extended(beams_[parent->second], prefix.label));
                    taken_[parent->second * static_cast<size_t>(classes_) + static_cast<size_t>(prefix.label)] = true;
                }
            }
            const double blank = beams_[j].both + log_y_[static_cast<size_t>(blank_)];
            stay_.push_back(beam_of(beams_[j].prefix, blank, label));
            offer({stay_.back().both, static_cast<int64_t>(j), -1});
        }
        // Once as many stay as there is room for, whatever is less likely than all of them has no chance.
        const double least = candidates_.size() < static_cast<size_t>(width_)
                                 ? kNever
                                 : std::max_element(candidates_.begin(), candidates_.end())->log_probability;
        for (size_t i = 0; i < count; ++i)
            for (const int64_t k : by_probability_) {
                if (beams_[i].both + log_y_[static_cast<size_t>(k)] < least) break;
                if (k != blank_ && !taken_[i * static_cast<size_t>(classes_) + static_cast<size_t>(k)])
                    offer({extended(beams_[i], k), static_cast<int64_t>(i), k});
            }
        keep_best();
    }

    void offer(const Candidate& candidate) {
        if (candidate.log_probability > kNever) candidates_.push_back(candidate);
    }

    // A label twice in a row needs a blank between.
    double extended(const Beam& beam, int64_t label) const {
        const bool repeated = prefixes_[static_cast<size_t>(beam.prefix)].label == label;
        return (repeated ? beam.blank : beam.both) + log_y_[static_cast<size_t>(label)];
    }

    void keep_best() {
        const size_t kept = std::min(candidates_.size(), static_cast<size_t>(width_));
        const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(kept);
        if (end != candidates_.end()) std::nth_element(candidates_.begin(), end, candidates_.end());
        std::sort(candidates_.begin(), end);
        std::vector<Beam> next;
        for (auto candidate = candidates_.begin(); candidate != end; ++candidate) {
            const Beam& from = beams_[static_cast<size_t>(candidate->from)];
            if (candidate->label < 0)
                next.push_back(stay_[static_cast<size_t>(candidate->from)]);
            else
                next.push_back(beam_of(longer(from.prefix, candidate->label), kNever, candidate->log_probability));
        }
        beams_.swap(next);
    }

    int64_t longer(int64_t prefix, int64_t label) {
        const auto found = child_.emplace(prefix * classes_ + label, static_cast<int64_t>(prefixes_.size()));
        if (found.second) prefixes_.push_back({prefix, label});
        return found.first->second;
    }

    std::vector<int64_t> labels_of(int64_t prefix) const {
        std::vector<int64_t> labels;
        for (; prefix > 0; prefix = prefixes_[static_cast<size_t>(prefix)].parent)
            labels.push_back(prefixes_[static_cast<size_t>(prefix)].label);
        std::reverse(labels.begin(), labels.end());
        return labels;
    }

    long classes_, blank_, width_;
    std::vector<Prefix> prefixes_;
    std::unordered_map<int64_t, int64_t> child_;  // prefix * classes + label -> prefix
    std::unordered_map<int64_t, size_t> place_;   // prefix -> its beam
    std::vector<Beam> beams_, stay_;              // best first; what each beam becomes if it stays
    std::vector<Candidate> candidates_;
    std::vector<char> taken_;  // (beams, classes): the longer prefix is a beam itself
    std::vector<double> log_y_;
    std::vector<int64_t> by_probability_;  // the classes, likeliest first
};

}  // namespace elman
