// The formats that weights can be held in beside float (views.h, Format): compiled once for each instruction set that
// multiplies them in its own way.
#ifndef ELMAN_MUTANT
#    define ELMAN_MUTANT 0
#endif
#include "bfloat16.h"
#include "int8.h"

namespace elman {
namespace ELMAN_ISA {

extern const Format<float> bfloat16;
extern const Format<float> int8;
constexpr Format<float> bfloat16 = Bfloat16::format();
constexpr Format<float> int8 = Int8::format();

}  // namespace ELMAN_ISA
}  // namespace elman
