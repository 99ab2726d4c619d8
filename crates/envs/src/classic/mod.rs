//! Classic control: small differential equations, step by step as Gymnasium computes them.

mod cart_pole;
mod mountain_car;

pub use cart_pole::{CartPole, CartPoleState, Integrator};
pub use mountain_car::{MountainCar, MountainCarState};
