//! Preference losses and reward fitting, each with its derivative.
