"""How to read the pictures of a report, in a few sentences each."""

__all__ = ["READING"]

READING = {
    "gradient_by_lag": (
        "The curve is the gradient of the loss at a step t with respect to the state k steps before, relative to "
        "that at the step itself: the median over many t, and a band that holds the middle 80 %. A straight line "
        "down means that every step takes the same share away. Where the median crosses the dotted line at 1 % is "
        "the memory horizon: what lies further back hardly teaches the weights anything. In an LSTM look at c, "
        "which is the memory."
    ),
    "contributions": (
        "The gradient of a weight is a sum, because the weight was used at every step. A row is the loss at one "
        "step t, a column the steps back; the brightness is the size of the term. A map that is bright at the "
        "left edge alone belongs to a model that learns from the last few steps; a bright place far from the edge "
        "is a dependence that was found. Beyond the diagonal the sequence had not begun."
    ),
    "truncation_bias": (
        "Truncated backpropagation leaves the terms out that lie more than so many steps back. The angle says how "
        "wrong the direction is then: at 90 degrees a step of training follows something else altogether. The "
        "ratio says how much of the gradient is left. Windows in training need to be as long as the first point "
        "that is low enough."
    ),
    "states": (
        "A row of a map is a unit, a column a step. Gates run from shut (dark) to open (bright); states from "
        "negative (blue) to positive (red). A forget gate that is bright all along keeps; one that is dark "
        "forgets at once. The histograms count how much of the time a gate stands at an end of its range, where "
        "it learns little. Below, any unit colours the steps: orange where it is positive, blue where it is "
        "negative."
    ),
    "attribution": (
        "Integrated gradients share the change of the output, between no input at all and this one, out among the "
        "steps. The curve says how much of an answer comes from how near. Bars upward, and orange, speak for the "
        "output, bars downward, and blue, against it. Gradient × input is quicker and more easily misled by "
        "saturated gates; occlusion asks what happens without a step. Where all three agree there is little "
        "doubt."
    ),
    "dynamics": (
        "Below a spectral radius of 1 a step forgets, above 1 it blows differences up, seen by itself. What many "
        "steps do is said by the Lyapunov exponent: above 0 two nearby states part (chaos), below 0 they meet. On "
        "the right the states h lie in the plane that shows most of them, darker ones earlier; fixed points are "
        "where the state comes to rest under the mean input."
    ),
    "training": (
        "The loss of the batches lies as a band behind the curves of the epochs. A validation curve that turns "
        "upward while the training curve goes on falling is overfitting. The gradient norm is that before "
        "clipping: leaps of it are what clipping is for. A step of training usually changes the weights by about "
        "a thousandth of their length; a hundred times less learns nothing, ten times more is restless."
    ),
}
