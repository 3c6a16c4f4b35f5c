// What crosses from the binding into the kernels: sizes, pointers and strides by name, nothing else. These structs hold
// no vectors, so they are the same for every instruction set.
#pragma once

#include <stdint.h>

namespace elman {

// Set by the caller's thread when the user interrupts; every part looks at it each 1024 rows.
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

// Token ids grouped by value, for the gradient of one-hot input.
struct Groups {
    long count;
    const int64_t* id;     // (count)
    const int64_t* first;  // (count + 1) into rows
    const int64_t* row;    // tape rows, ascending within a group
};

template <class T>
struct PackedViews {
    T* input;           // (I, gates * Hp) packed; null for token ids
    T* recurrent;       // (H, gates * Hp) packed
    T* recurrent_back;  // (gates * H, Hp) packed
    T* input_back;      // (gates * H, Ip) packed; null until dx is first wanted
    T* bias;            // (gates * Hp)
    T* bias_recurrent;  // (Hp) or null
    const T* table;     // (V, gates * Hp): bias + column of weight_ih, for token ids
};

template <class T>
struct RecurrenceViews {
    long input_size, hidden_size;
    Batch batch;
    Interrupt interrupt;
    PackedViews<T> packed;
    const T* x;          // (N, I), or null
    const int64_t* ids;  // (N,), or null
    const T* h0;         // (B, H) or null for zero
    const T* c0;
    T* y;       // (N, H)
    T* h_last;  // (B, H)
    T* c_last;
    T* gates;  // tape (N, blocks * Hp), or null: nothing kept
    T* cells;  // tape (N, Hp), or null
};

template <class T>
struct RecurrenceGradients {
    const T* dy;       // (N, H) or null for zero
    const T* dh_last;  // (B, H) or null for zero
    const T* dc_last;
    T* da;  // (N, blocks * Hp); may be the tape's gates themselves
    T* dx;  // (N, I) or null
    T* dh0;
    T* dc0;
    T* dh;  // (N, H) or null: what reaches h_t at every step
    T* d_weight_ih;
    T* d_weight_hh;
    T* d_bias;
    T* d_bias_hn;
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

enum Activation { kIdentity, kTanh, kSigmoid, kRelu, kSoftmax };

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

// Shape of one cell's tape and weights for one instruction set.
struct CellLayout {
    int gates, blocks, first_recurrent;
    bool has_cell_state;
    const int* input_gates;
    const int* recurrent_gates;
    long lanes;
};

template <class T>
struct CellKernels {
    CellLayout layout;
    long (*forward_scratch)(const RecurrenceViews<T>&, long parts);
    void (*forward)(const RecurrenceViews<T>&, long part, long parts, Scratch);
    long (*backward_scratch)(const RecurrenceViews<T>&, long parts);
    void (*backward)(const RecurrenceViews<T>&, const RecurrenceGradients<T>&, long part, long parts, Scratch);
    long (*weights_scratch)(const RecurrenceViews<T>&);
    void (*weights)(const RecurrenceViews<T>&, const RecurrenceGradients<T>&, long part, long parts, Scratch);
    void (*pack)(const RecurrenceViews<T>&, const T* weight_ih, const T* weight_hh, const T* bias, const T* bias_hn);
    void (*fill_table)(const RecurrenceViews<T>&, const T* weight_ih, T* table, const int64_t* ids, long count,
                       long part, long parts);
};

template <class T>
struct Kernels {
    const char* isa;
    long lanes;
    const CellKernels<T>* cells;  // in the order of cells.def
    void (*linear_pack)(const LinearViews<T>&, const T* weight, const T* bias, T* packed, T* packed_back,
                        T* padded_bias);
    void (*linear_forward)(const LinearViews<T>&, long part, long parts);
    void (*linear_backward)(const LinearViews<T>&, long part, long parts);
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
