"""The loss as a function of a network's parameters: between solutions, around them, and in the directions that masks close.

What section 4.5 and Fig. 6 of the paper (arXiv:1911.11134) rest on, made measurable. ``network`` reads what runs left and
evaluates the loss at any point of parameter space; ``paths`` joins two points, ``barriers`` says how high the way is;
``planes`` draws maps, ``curvature`` asks the Hessian, ``overlap`` compares masks. A point is a vector [D] of all parameters,
in the order of ``module.named_parameters()``; a mask of a point is a boolean vector [D].

The training loss here is the mean cross-entropy in nats over the training samples as they are stored: no augmentation, no
label smoothing, no weight decay, as in a record's test loss.
"""
