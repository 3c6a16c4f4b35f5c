// A ragged batch in rank order (views.h, Batch), kept while the lengths stay the same.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "views.h"

namespace elman {

class RankedBatch {
  public:
    // lengths must be >= 0.
    const Batch& of(const int64_t* lengths, long count) {
        if (static_cast<long>(lengths_.size()) == count && std::equal(lengths, lengths + count, lengths_.begin()) &&
            made_)
            return batch_;
        made_ = false;  // until all is there: a failed allocation must not leave half of it
        lengths_.assign(lengths, lengths + count);
        sequence_.resize(static_cast<size_t>(count));
        std::iota(sequence_.begin(), sequence_.end(), 0);
        std::stable_sort(sequence_.begin(), sequence_.end(),
                         [lengths](int64_t a, int64_t b) { return lengths[a] > lengths[b]; });
        std::vector<int64_t> start(static_cast<size_t>(count) + 1, 0);
        std::partial_sum(lengths_.begin(), lengths_.end(), start.begin() + 1);
        first_step_.resize(static_cast<size_t>(count));
        for (size_t r = 0; r < sequence_.size(); ++r) first_step_[r] = start[static_cast<size_t>(sequence_[r])];
        const long steps = count ? lengths[sequence_[0]] : 0;
        active_.assign(static_cast<size_t>(steps) + 1, 0);
        first_row_.assign(static_cast<size_t>(steps) + 1, 0);
        long running = count;
        for (long t = 0; t < steps; ++t) {
            while (running > 0 && lengths[sequence_[static_cast<size_t>(running - 1)]] <= t) --running;
            active_[static_cast<size_t>(t)] = running;
            first_row_[static_cast<size_t>(t) + 1] = first_row_[static_cast<size_t>(t)] + running;
        }
        batch_ = {count, steps, start.back(), active_.data(), first_row_.data(), sequence_.data(), first_step_.data()};
        made_ = true;
        return batch_;
    }

  private:
    bool made_ = false;
    std::vector<int64_t> lengths_, sequence_, first_step_, active_, first_row_;
    Batch batch_{};
};

// Token ids of a batch grouped by value (views.h, Groups); rows are the tape's.
class GroupedIds {
  public:
    Groups of(const Batch& batch, const int64_t* ids, long vocabulary) {
        place_.assign(static_cast<size_t>(vocabulary) + 1, 0);
        for (long n = 0; n < batch.rows; ++n) ++place_[static_cast<size_t>(ids[n]) + 1];
        id_.clear();
        first_.clear();
        for (long v = 0; v < vocabulary; ++v) {
            if (place_[static_cast<size_t>(v) + 1] > 0) {
                id_.push_back(v);
                first_.push_back(place_[static_cast<size_t>(v)]);
            }
            place_[static_cast<size_t>(v) + 1] += place_[static_cast<size_t>(v)];
        }
        first_.push_back(batch.rows);
        row_.resize(static_cast<size_t>(batch.rows));
        for (long t = 0; t < batch.steps; ++t)
            for (long r = 0; r < batch.active[t]; ++r)
                row_[static_cast<size_t>(place_[static_cast<size_t>(ids[batch.first_step[r] + t])]++)] =
                    batch.first_row[t] + r;
        return {static_cast<long>(id_.size()), id_.data(), first_.data(), row_.data()};
    }

  private:
    std::vector<int64_t> place_, id_, first_, row_;
};

}  // namespace elman
