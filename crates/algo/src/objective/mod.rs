//! Policy objectives as scalar functions with exact derivatives.
