//! What applications compute, from the one that limits cost most to those where libraries do the work.

use std::{collections::HashMap, hint::black_box};

use regex::Regex;
use serde::{Deserialize, Serialize};

/// Numbers that are sieved in one round.
const SIEVED: usize = 20_000;

/// Different keys of the map.
const KEYS: u64 = 1_000;

/// Orders in one document.
const ORDERS: u32 = 50;

/// Lines that are searched in one round.
const LINES: u32 = 100;

/// A multiplication and an addition in each turn: as many loop heads for so little work as there can be.
pub fn tight_loop(rounds: u64) -> u64 {
    (0..rounds * 1_000).fold(1, |state, _| {
        black_box(state * 3 % 1_000_003 + 1)
    })
}

/// The sieve of Eratosthenes: short loops and branches that are hard to foresee.
pub fn sieve(rounds: u64) -> u64 {
    let mut primes = 0;
    for _ in 0..rounds {
        let mut composite = vec![false; SIEVED];
        for number in 2..SIEVED {
            if composite[number] {
                continue;
            }
            primes += 1;
            for multiple in (number * number..SIEVED).step_by(number) {
                composite[multiple] = true;
            }
        }
        black_box(&composite);
    }
    primes
}

/// Counts in a map of the standard library, with its own hash.
pub fn hash_map(rounds: u64) -> u64 {
    let mut counts: HashMap<u64, u64> = HashMap::new();
    for turn in 0..rounds * KEYS {
        *counts.entry(turn * 7_919 % KEYS).or_default() += turn;
    }
    counts.values().fold(0, |sum, count| sum.wrapping_add(*count))
}

#[derive(Serialize, Deserialize)]
struct Order {
    number: u32,
    customer: String,
    lines: Vec<Line>,
    note: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    sku: String,
    quantity: u32,
    price: f64,
}

/// Writes a document of orders and reads it again.
pub fn json(rounds: u64) -> u64 {
    let orders: Vec<Order> = (0..ORDERS).map(order).collect();
    let mut sum = 0;
    for _ in 0..rounds {
        let text = serde_json::to_string(&orders).expect("orders are JSON");
        let read: Vec<Order> = serde_json::from_str(&text).expect("what was written can be read");
        let lines = read.iter().flat_map(|order| &order.lines);
        sum += lines.map(|line| u64::from(line.quantity)).sum::<u64>() + text.len() as u64;
    }
    sum
}

fn order(number: u32) -> Order {
    let line = |index| Line {
        sku: format!("SKU-{number:05}-{index}"),
        quantity: number % 7 + index,
        price: f64::from(number) * 1.25,
    };
    Order {
        number,
        customer: format!("Customer \"{number}\" & Sons"),
        lines: (0..4).map(line).collect(),
        note: number.is_multiple_of(3).then(|| "leave at the door".to_owned()),
    }
}

/// Searches lines of a log for addresses, dates and words.
pub fn regular_expressions(rounds: u64) -> u64 {
    let patterns = [
        r"(?i)[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}",
        r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z",
        r"\b(?:error|warning|denied)\b",
    ];
    let patterns = patterns.map(|pattern| Regex::new(pattern).expect("the pattern is one"));
    let text: String = (0..LINES).map(line).collect();
    let mut found = 0;
    for _ in 0..rounds {
        for pattern in &patterns {
            found += pattern.find_iter(black_box(&text)).count() as u64;
        }
    }
    found
}

fn line(number: u32) -> String {
    let level = ["info", "warning", "error"][number as usize % 3];
    format!(
        "2026-11-{:02}T08:{:02}:00Z {level} user{number}@example.org opened order {number}\n",
        number % 28 + 1,
        number % 60,
    )
}
