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

// The last steps before `end` that have so many rows; all of them where there are fewer.
inline Steps block_before(const Batch& batch, long end, long rows) {
    long first = end;
    while (first > 0 && batch.first_row[end] - batch.first_row[first] < rows) --first;
    return {first, end};
}

// Token ids of a block of steps grouped by value (views.h, Groups).
class GroupedIds {
  public:
    // Takes time for the rows, not for the vocabulary: a block may hold few of many words.
    Groups of(const Batch& batch, Steps block, const int64_t* ids, long vocabulary) {
        if (static_cast<long>(place_.size()) < vocabulary) place_.assign(static_cast<size_t>(vocabulary), 0);
        const long rows = batch.first_row[block.end] - batch.first_row[block.first];
        const size_t most = static_cast<size_t>(std::min<int64_t>(rows, vocabulary));
        id_.clear();
        first_.clear();
        id_.reserve(most);  // nothing below may fail, as place_ would be left half counted
        first_.reserve(most + 1);
        row_.resize(static_cast<size_t>(rows));
        each_row(batch, block, [&](int64_t value, int64_t) {
            if (place_[static_cast<size_t>(ids[value])]++ == 0) id_.push_back(ids[value]);
        });
        long before = 0;
        for (const int64_t id : id_) {
            int64_t& place = place_[static_cast<size_t>(id)];
            first_.push_back(before);
            before += place;
            place = first_.back();
        }
        first_.push_back(before);
        each_row(batch, block, [&](int64_t value, int64_t row) {
            row_[static_cast<size_t>(place_[static_cast<size_t>(ids[value])]++)] = row;
        });
        for (const int64_t id : id_) place_[static_cast<size_t>(id)] = 0;
        return {static_cast<long>(id_.size()), id_.data(), first_.data(), row_.data()};
    }

  private:
    template <class F>
    static void each_row(const Batch& batch, Steps block, F f) {
        int64_t row = 0;
        for (long t = block.first; t < block.end; ++t)
            for (long r = 0; r < batch.active[t]; ++r) f(batch.first_step[r] + t, row++);
    }

    std::vector<int64_t> place_;  // of each id; zero between two calls
    std::vector<int64_t> id_, first_, row_;
};

}  // namespace elman
