//! Compositions: configs, drivers and published methods.
