// What crosses from the binding into the kernels: sizes, pointers and strides by name, nothing else. These structs hold
// no vectors, so they are the same for every instruction set.
#pragma once

#include <stdint.h>

namespace elman {

// Set by the caller's thread when the user interrupts; every part looks at it each 1024 rows or 64 steps.
struct Interrupt {
    bool* stop;     // shared by all parts: touched by atomic operations only
    bool (*ask)();  // true to stop; on the pool's own threads it says no
};

// A ragged batch in rank order: longest sequence first (ties in the caller's order). The tape is time-major in that
// order: step t of rank r lies in row first_row[t] + r, so that the rows of one step are neighbours.
struct Batch {
    long ranks;                 // number of sequences
    long steps;                 // longest length
    long rows;                  // sum of the lengths
    const int64_t* active;      // (steps + 1): ranks still running at step t; active[steps] = 0
    const int64_t* first_row;   // (steps + 1)
    const int64_t* sequence;    // (ranks): which sequence of the caller this is
    const int64_t* first_step;  // (ranks): row of its step 0 in the caller's values
};

// Time steps [first, end) of a batch. The way back takes a batch by such blocks, from the last one on.
struct Steps {
    long first, end;
};

// Token ids of a block grouped by value, for the gradient of one-hot input.
struct Groups {
    long count;
    const int64_t* id;     // (count)
    const int64_t* first;  // (count + 1) into rows
    const int64_t* row;    // rows of the block, ascending within a group
};

// Where the left operand's rows have gaps (the padding between gate blocks), k runs over `count` stretches.
struct Segments {
    long count, length, stride;
};

// Columns [first, end) of a product; first is a multiple of the block width.
struct Columns {
    long first, end;
};

template <class T>
struct Format;

// An operand of an outer product (outer.h): its rows are packed as column blocks, once per row block.
template <class T>
struct OuterRight {
    T* packed;  // kRowBlock * round_up(columns)
    long columns;
};

// Weights for products row · weights: column blocks of kTileVectors vectors, each block [cells of k][block width], one
// after the other; the last block is as narrow as the columns need. Columns are padded with zeros to whole vectors.
template <class T>
struct Packed {
    T* data = nullptr;
    long k = 0;
    long columns = 0;                   // padded
    const Format<T>* format = nullptr;  // null for weights in T itself
};

// Weights that are held in fewer bits than T, and the products with them. A cell, the room of one T, holds `per_cell`
// numbers that follow each other in k; `heads` cells of each column come before those, such as a scale. One table for
// each format and instruction set (formats.cpp); what knows no format works on T. The left operand is brought into the
// format's form first, in scratch, kLeftRows rows at a time.
template <class T>
struct Format {
    const char* name;
    long per_cell, heads;
    // pack_rows is null where weights have no way back. As pack_rows_as_columns and pack_rows in packing.h.
    void (*pack_columns)(const Packed<T>&, long at, const T* source, long n, long k, long stride);
    void (*pack_rows)(const Packed<T>&, long k_at, const T* source, long k, long n, long stride);
    // As rows_times in gemm.h, for any n. left: room for kLeftRows * cells(format, k) T.
    void (*rows_times)(long n, const T* const* a, Segments k, const Packed<T>& w, const T* const* init, T* const* c,
                       Columns range, T* left);
    // As in outer.h: of weights that are trained.
    void (*pack_right)(const OuterRight<T>& right, const T* const* rows, long n);
    void (*pack_left)(T* panel, const T* const* rows, long column, long n, long valid, T* bias);
    void (*add_outer)(const T* panel, long valid, const OuterRight<T>& right, long n, T* d);
};

constexpr long kLeftRows = 96;

// The room that k numbers take in one column of the weights, or in one row of the left operand.
template <class T>
constexpr long cells(const Format<T>* format, long k) {
    return format ? format->heads + (k + format->per_cell - 1) / format->per_cell : k;
}

template <class T>
struct PackedViews {
    T* input;           // (I, G * Hp) packed; null for token ids
    T* recurrent;       // (P, gates of h * Hp) packed
    T* recurrent_back;  // (gates of h * H, Pp) packed; null until the way back is first wanted
    T* second;          // what multiplies the operand: (H, Hp) or (H, Pp) packed; null for cells of one product
    T* second_back;     // (H, Hp) or (P, Hp) packed; null until the way back is first wanted
    T* input_back;      // (G * H, Ip) packed; null until dx is first wanted
    T* start;           // (G * Hp): what the input product starts from, b or zero
    T* extras;          // the extra parameters, each block padded to Hp
    T* units;           // (Hp): 1 for each unit, 0 for the padding
    const T* table;     // (V, G * Hp): start + column of weight_ih, for token ids
};

// The weights as the caller holds them.
template <class T>
struct WeightViews {
    const T* weight_ih;      // (G * H, I)
    const T* weight_hh;      // (G * H, P)
    const T* weight_hr;      // (P, H), or null
    const T* bias;           // (G * H), or null where the cell adds it itself
    const T* const* extras;  // each block (H)
};

// What the equations of a cell need beside the row they work on.
template <class T>
struct Constants {
    long hidden, width;  // H, and H padded to whole vectors
    const T* extras;
    const T* units;
    int activation, gate_activation;
};

// One row (one sequence at one step) of a cell's step. h and c may be h_prev and c_prev themselves.
template <class T>
struct StepRow {
    T* tape;
    T* stats;  // room for kStats numbers of a normalised cell
    const T* h_prev;
    const T* c_prev;
    T* h;
    T* c;
};

// One row of the way back. dh and dc: what reaches h' and c'; the cell leaves what goes straight to the old h (cells
// that carry dh only) and to the old c.
template <class T>
struct BackRow {
    const T* tape;
    const T* stats;
    T* da;
    const T* h_prev;
    const T* c_prev;
    T* dh;
    T* dc;
    const T* d_operand;
    T* sums;  // gradients of the extra parameters, added up
};

constexpr long kStats = 8;

// Shape of one cell's tape and gradients. Block: H numbers, padded to Hp.
struct CellLayout {
    int gates;                   // G
    int tape_blocks;             // of a row of the tape
    int grad_blocks;             // of a row of da; the first G are d_ax
    const int* input_gates;      // (G): gate in each block of the input product, which begins a row of the tape
    int state_gates;             // gates whose product takes h
    const int* recurrent_gates;  // (state_gates)
    int state_at;                // first tape block of the product with h
    int d_state_at;              // first block of its gradient
    int second_gate;             // gate whose product takes the operand, or -1
    int product_at;              // tape block of that product
    int operand_at;              // tape block of the operand
    int d_product_at;            // block of the product's gradient
    int extras;                  // blocks of extra parameters
    bool normalised;             // products begin at zero, a row of the tape ends in kStats numbers, b is an extra
    bool recurrent_bias;         // tape block G begins at the first extra parameter
    bool has_cell_state, needs_h_prev, carries_dh;
};

template <class T>
struct CellKernel {
    CellLayout layout;
    void (*first)(const Constants<T>&, const StepRow<T>&);
    void (*second)(const Constants<T>&, const StepRow<T>&);  // after the product with the operand; null without
    void (*second_back)(const Constants<T>&, const BackRow<T>&);
    void (*first_back)(const Constants<T>&, const BackRow<T>&);
};

template <class T>
struct RecurrenceViews {
    const CellKernel<T>* cell;
    long input_size, hidden_size, state_size;  // I, H, and P: the width of h
    bool projected;                            // h is P times what the cell gives
    const Format<T>* format;                   // of all weights that multiply; null for T
    long stride, grad_stride;                  // numbers in a row of the tape and of da
    Constants<T> constants;
    Batch batch;
    Interrupt interrupt;
    PackedViews<T> packed;
    const T* x;          // (N, I), or null
    const int64_t* ids;  // (N,), or null
    const T* h0;         // (B, P) or null for zero
    const T* c0;         // (B, H) or null for zero
    const T* h_mask;     // (B, P): factors of h before R, or null
    const T* zone_h;     // (N, P): how much of the old h stays, or null: the mean, for all
    const T* zone_c;     // (N, H)
    T zone_h_mean, zone_c_mean;
    T* y;       // (N, P)
    T* h_last;  // (B, P)
    T* c_last;  // (B, H)
    T* gates;   // tape (N, stride), or null: nothing kept
    T* cells;   // tape (N, Hp), or null
};

template <class T>
struct RecurrenceGradients {
    const T* dy;       // (N, P) or null for zero
    const T* dh_last;  // (B, P) or null for zero
    const T* dc_last;  // (B, H)
    Steps block;       // the steps that this call goes back through
    T* da;             // (rows of the block, grad_stride)
    T* dh_carried;     // (B, Pp) in rank order: what the block behind handed back to h
    T* dc_carried;     // (B, Hp)
    T* dx;             // (N, I) or null
    T* dh0;
    T* dc0;
    T* dh;    // (N, P) or null: what reaches h_t at every step
    T* sums;  // for each rank two rows of the extra parameters' gradients: of the last steps, and of all
    T* d_weight_ih;
    T* d_weight_hh;
    T* d_weight_hr;
    T* d_bias;           // null where the cell adds b itself
    T* const* d_extras;  // each block (H)
    Groups groups;
};

// Memory of one part (thread), sized by the kernel and owned by the binding.
struct Scratch {
    char* at;
};

template <class T>
struct LinearViews {
    long rows, input_size, output_size;
    int activation;
    const Format<T>* format;  // of the weights; null for T
    const T* x;
    const T* packed;       // (I, O) packed
    const T* packed_back;  // (O, I) packed
    const T* bias;         // (O) padded
    T* y;
    const T* dy;
    T* dz;  // (N, O): dy through the activation; dy itself where there is none
    T* dx;  // or null
    T* d_weight;
    T* d_bias;
};

enum Activation { kIdentity, kTanh, kSigmoid, kRelu, kSoftmax, kHardSigmoid };

template <class T>
struct CrossEntropyViews {
    long rows, classes;
    const T* logits;
    const int64_t* targets;
    const T* weights;  // (N,) or null for one
    double scale;      // 1 / sum of the weights
    double* losses;    // (N,)
    T* d_logits;       // or null
};

// Connectionist temporal classification of a ragged batch, sequence after sequence.
template <class T>
struct CtcViews {
    long sequences, classes, blank;
    const int64_t* order;        // (B): sequences, most work first
    const int64_t* first_row;    // (B + 1) into logits
    const int64_t* first_label;  // (B + 1) into labels
    const T* logits;             // (N, K)
    const int64_t* labels;       // none of them the blank
    const double* weights;       // (B,) or null for one; a sequence of weight zero is left out
    double scale;                // 1 / sum of the weights
    Interrupt interrupt;
    double* losses;  // (B,): -log p(labels), without its weight; infinite where no path reads as the labels
    T* d_logits;     // (N, K) or null
};

template <class T>
struct RowsViews {
    long rows, columns;
    const int64_t* ids;
    const T* dy;
    T* d_weight;
};

template <class T>
struct AdamViews {
    long count;
    T* flat;
    const T* grads;
    T* m;
    T* v;
    T one_less_beta_1, beta_2, one_less_beta_2, root_correction, epsilon, step_size;
};

constexpr long kSquareBlock = 4096;

template <class T>
struct SquaresViews {
    long count;
    const T* x;
    double* sums;  // one for each block
};

// Where threads that work on the same sequences wait for each other.
struct Barrier {
    long members;
    void (*yield)();  // lets another thread run
    long arrived;
    long phase;
    bool stop;  // written by the first member between two meetings, read by all after the next
};

constexpr long kMostMembers = 64;

// Who runs which sequences. Usually every thread has its own: ranks part, part + parts, ... Where there are fewer
// sequences than threads and many hidden units, all threads run all sequences together and share the units out.
struct Crew {
    long part, parts;
    long member, members;  // one of so many that share the units
    Barrier* barrier;      // null for one member
};

template <class T>
struct RecurrenceKernels {
    long (*forward_scratch)(const RecurrenceViews<T>&, long parts, long members);
    void (*forward)(const RecurrenceViews<T>&, const Crew&, Scratch);
    long (*backward_scratch)(const RecurrenceViews<T>&, long parts, long members);
    void (*backward)(const RecurrenceViews<T>&, const RecurrenceGradients<T>&, const Crew&, Scratch);
    long (*weights_scratch)(const RecurrenceViews<T>&);
    void (*weights)(const RecurrenceViews<T>&, const RecurrenceGradients<T>&, long part, long parts, Scratch);
    void (*pack)(const RecurrenceViews<T>&, const WeightViews<T>&, bool forward, long part, long parts);
    void (*fill_table)(const RecurrenceViews<T>&, const T* weight_ih, T* table, const int64_t* ids, long count,
                       long part, long parts);
};

template <class T>
struct Kernels {
    long lanes;
    const CellKernel<T>* cells;  // in the order of cells.def
    RecurrenceKernels<T> recurrence;
    void (*linear_pack)(const LinearViews<T>&, const T* weight, const T* bias, T* packed, T* packed_back,
                        T* padded_bias);
    long (*linear_scratch)(const LinearViews<T>&);
    void (*linear_forward)(const LinearViews<T>&, long part, long parts, Scratch);
    void (*linear_backward)(const LinearViews<T>&, long part, long parts, Scratch);
    long (*linear_weights_scratch)(const LinearViews<T>&);
    void (*linear_weights)(const LinearViews<T>&, long part, long parts, Scratch);
    void (*cross_entropy)(const CrossEntropyViews<T>&, long part, long parts);
    long (*ctc_scratch)(const CtcViews<T>&);
    void (*ctc)(const CtcViews<T>&, long part, long parts, Scratch);
    void (*add_rows)(const RowsViews<T>&, long part, long parts);
    void (*adam)(const AdamViews<T>&, long part, long parts);
    void (*squares)(const SquaresViews<T>&, long part, long parts);
    void (*elementwise)(int activation, const T* x, T* y, long n);  // tanh, sigmoid; kIdentity is exp
};

}  // namespace elman
