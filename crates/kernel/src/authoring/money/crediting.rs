//! Splits a credit note over a part of an invoice into base and tax per VAT rate.
//!
//! Rules and their sources:
//! - The taxable amount is reduced with the price: Council Directive 2006/112/EC, article 90(1).
//!   Therefore a credit note reduces base and tax of each rate, never tax alone.
//! - Over lines: the base of a rate is the sum of the credited nets; its tax is computed from that
//!   base, rounded once per rate (EN 16931-1, BR-CO-17), as on an invoice.
//! - Over a sum with tax: the sum is divided among the rates in proportion to the rest of each, by
//!   the largest remainders (Hamilton's method), so that the shares add up to the sum. The base of a
//!   share is share × 100 / (100 + rate), rounded; the tax is the difference.
//! - The credit that takes the last of a rate's base takes the last of its tax, so that an invoice
//!   and its credit notes add up to zero however they are split.
//! - Neither base nor tax is credited beyond the rest.

use rust_decimal::Decimal;

use super::{Currency, RateTotal, TooLarge, exact};

/// Returns base and tax for a given base of one rate.
pub fn over_base(
    left: RateTotal,
    base: Decimal,
    currency: Currency,
) -> Result<RateTotal, TooLarge> {
    if base >= left.base {
        return Ok(left);
    }
    let exact = exact::product(base, left.rate).and_then(exact::hundredth).ok_or(TooLarge)?;
    let amount = currency.round(exact)?.min(left.amount);
    Ok(RateTotal { rate: left.rate, base, amount })
}

/// Returns base and tax per rate for a sum with tax. A sum above the rest takes the whole rest.
pub fn over_sum(
    left: &[RateTotal],
    sum: Decimal,
    currency: Currency,
) -> Result<Vec<RateTotal>, TooLarge> {
    let whole: Decimal = left.iter().map(gross).sum();
    if sum >= whole {
        return Ok(left.iter().copied().filter(|rate| !gross(rate).is_zero()).collect());
    }
    let shares = shares(left, sum, whole, currency)?;
    let split = left.iter().zip(shares).filter(|(_, share)| !share.is_zero());
    split.map(|(left, share)| of_share(left, share, currency)).collect()
}

fn gross(rate: &RateTotal) -> Decimal {
    rate.base + rate.amount
}

/// Divides the sum in whole minor units in proportion to the rest of each rate.
fn shares(
    left: &[RateTotal],
    sum: Decimal,
    whole: Decimal,
    currency: Currency,
) -> Result<Vec<Decimal>, TooLarge> {
    let (sum, whole) = (units(sum, currency)?, units(whole, currency)?);
    let mut shares = Vec::with_capacity(left.len());
    let mut remainders = Vec::with_capacity(left.len());
    for (place, rate) in left.iter().enumerate() {
        let (share, remainder) = divided(sum, units(gross(rate), currency)?, whole);
        shares.push(share);
        remainders.push((remainder, place));
    }
    // Equal remainders: the first rate gets the unit, so that the result is deterministic.
    remainders.sort_by(|(a, at), (b, bt)| b.cmp(a).then(at.cmp(bt)));
    let missing = sum - shares.iter().sum::<u128>();
    for (_, place) in remainders.into_iter().zip(0..missing).map(|(remainder, _)| remainder) {
        shares[place] += 1;
    }
    shares.into_iter().map(|share| amount(share, currency)).collect()
}

fn of_share(left: &RateTotal, share: Decimal, currency: Currency) -> Result<RateTotal, TooLarge> {
    let whole = Decimal::ONE_HUNDRED + left.rate;
    let hundred = Decimal::new(100, 0);
    let (hundred, whole) = (digits(hundred, whole.scale())?, digits(whole, whole.scale())?);
    let (floor, remainder) = divided(hundred, units(share, currency)?, whole);
    // Half a unit is rounded up, as everywhere else.
    let rounded = amount(floor + u128::from(remainder >= whole - remainder), currency)?;
    let most = left.base.min(share);
    // The rest of the tax cannot take the difference if the base is too low.
    let least = share - left.amount;
    let base = rounded.max(least).min(most);
    Ok(RateTotal { rate: left.rate, base, amount: share - base })
}

/// Returns a non-negative amount in minor units.
fn units(amount: Decimal, currency: Currency) -> Result<u128, TooLarge> {
    digits(amount, currency.decimals())
}

/// Returns a non-negative number, scaled to the given number of decimals.
fn digits(mut number: Decimal, decimals: u32) -> Result<u128, TooLarge> {
    number.rescale(decimals);
    if number.scale() == decimals {
        number.mantissa().try_into().map_err(|_| TooLarge)
    } else {
        Err(TooLarge)
    }
}

fn amount(units: u128, currency: Currency) -> Result<Decimal, TooLarge> {
    let units = i128::try_from(units).map_err(|_| TooLarge)?;
    Decimal::try_from_i128_with_scale(units, currency.decimals()).map_err(|_| TooLarge)
}

/// Returns `part × number / whole` and the remainder, exactly, for a part of at most the whole: the
/// product may have twice the digits of a [`Decimal`], so the division works bit by bit. No argument
/// has more than 96 bits, the mantissa of a `Decimal`.
fn divided(part: u128, number: u128, whole: u128) -> (u128, u128) {
    let (mut quotient, mut remainder) = (0, 0);
    for bit in (0..u128::BITS).rev() {
        remainder = 2 * remainder + if number >> bit & 1 == 1 { part } else { 0 };
        quotient = 2 * quotient + remainder / whole;
        remainder %= whole;
    }
    (quotient, remainder)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn euro() -> Currency {
        Currency::from_code("EUR").unwrap()
    }

    fn rate(rate: &str, base: &str, amount: &str) -> RateTotal {
        RateTotal { rate: decimal(rate), base: decimal(base), amount: decimal(amount) }
    }

    #[test]
    fn a_base_takes_its_tax_along_and_the_last_of_it_takes_the_rest() {
        // Three times 0.03 at 20 %: tax of 0.02 in all, of 0.01 each.
        let left = rate("20", "0.09", "0.02");
        let third = over_base(left, decimal("0.03"), euro()).unwrap();
        assert_eq!(third, rate("20", "0.03", "0.01"));
        let left = rate("20", "0.03", "0.00");
        assert_eq!(over_base(left, decimal("0.03"), euro()).unwrap(), left);
    }

    #[test]
    fn a_sum_is_shared_in_proportion_and_adds_up() {
        let left = [rate("5.5", "100.00", "5.50"), rate("20", "100.00", "20.00")];
        let split = over_sum(&left, decimal("22.55"), euro()).unwrap();
        assert_eq!(split, [rate("5.5", "10.00", "0.55"), rate("20", "10.00", "2.00")]);
        assert_eq!(split.iter().map(gross).sum::<Decimal>(), decimal("22.55"));
    }

    #[test]
    fn sums_of_any_size_are_shared() {
        let most = "99999999999999999999999.99";
        let left = [
            rate("5.5", most, "5499999999999999999999.99"),
            rate("20", most, "19999999999999999999999.99"),
        ];
        let sum = decimal("33333333333333333333333.33");
        let split = over_sum(&left, sum, euro()).unwrap();
        assert_eq!(split.iter().map(gross).sum::<Decimal>(), sum);
        let exact = split[1].base.checked_div(decimal("5")).unwrap() - split[1].amount;
        assert!(exact.abs() < decimal("0.01"), "{split:?}");
    }

    #[test]
    fn a_sum_beyond_what_is_left_takes_all_of_it() {
        let left = [rate("0", "0.00", "0.00"), rate("20", "1.00", "0.20")];
        assert_eq!(over_sum(&left, decimal("9"), euro()).unwrap(), [rate("20", "1.00", "0.20")]);
    }

    proptest! {
        #[test]
        fn cuts_add_up_to_the_invoice(
            bases in prop::collection::btree_map(0_usize..3, 0_i64..100_000, 1..4),
            cuts in prop::collection::vec(1_i64..60_000, 1..8),
        ) {
            let rates = ["0", "5.5", "20"];
            let mut left: Vec<RateTotal> = bases
                .iter()
                .map(|(at, base)| {
                    let (base, rate) = (Decimal::new(*base, 2), decimal(rates[*at]));
                    let amount = euro().round(base * rate / Decimal::ONE_HUNDRED).unwrap();
                    RateTotal { rate, base, amount }
                })
                .collect();
            for cut in cuts {
                let whole: Decimal = left.iter().map(gross).sum();
                let cut = Decimal::new(cut, 2);
                let split = over_sum(&left, cut, euro()).unwrap();
                let taken: Decimal = split.iter().map(gross).sum();
                prop_assert_eq!(taken, cut.min(whole));
                let mut taken = split.into_iter().peekable();
                for rate in &mut left {
                    let Some(part) = taken.next_if(|part| part.rate == rate.rate) else { continue };
                    prop_assert!(part.base >= Decimal::ZERO && part.amount >= Decimal::ZERO);
                    prop_assert!(part.base <= rate.base && part.amount <= rate.amount);
                    rate.base -= part.base;
                    rate.amount -= part.amount;
                }
            }
        }
    }
}
