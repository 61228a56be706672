"""Pictures of answers: a result in, a new array, figure or piece of HTML out; nothing here knows a model."""
