//! Amounts of money: the only place where totals are computed and rounded.
//!
//! Rules and their sources:
//! - A sum is rounded to the currency's minor unit (ISO 4217), half away from zero: Council
//!   Regulation (EC) No 1103/97, article 5 ("if … exactly half-way, rounded up").
//! - Net of a line = quantity × unit price, rounded: EN 16931-1, BR-DEC-23 (at most two decimals).
//! - Taxable base of a VAT rate = sum of the rounded nets of its lines: EN 16931-1, BR-S-08.
//! - Tax of a rate = base × rate / 100, rounded once per rate, not per line: EN 16931-1, BR-CO-17.
//!   European law leaves the method to the member states (CJEU, C-484/06, Koninklijke Ahold).
//! - Total net = sum of the bases (BR-CO-13), total tax = sum over the rates (BR-CO-14), total =
//!   net + tax (BR-CO-15).
//!
//! Quantities and unit prices keep their given decimals. A value that does not fit into 28 digits is
//! rejected, never rounded: [`exact`].

pub mod exact;

pub mod crediting;

use std::collections::BTreeMap;

use iso_currency::Currency as Iso4217;
use rust_decimal::{Decimal, RoundingStrategy};

/// A currency of ISO 4217.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency(Iso4217);

impl Currency {
    /// Returns the currency of a three-letter code in capitals, in use or not: for amounts that are
    /// already recorded. Returns `None` if ISO 4217 never had such a code.
    pub fn from_code(code: &str) -> Option<Self> {
        Iso4217::from_code(code).map(Self)
    }

    /// Returns a currency that is in use today: for new business. Excludes codes for metals, units
    /// of account, tests and "no currency" (ISO 4217: codes that begin with X and have no minor
    /// unit), and codes of replaced currencies.
    pub fn in_use(code: &str) -> Option<Self> {
        let Self(currency) = Self::from_code(code)?;
        // Table A.1 of ISO 4217 lists both VES and VED for Venezuela; VED did not replace it.
        let is_replaced = currency.is_superseded().is_some() && currency != Iso4217::VES;
        (!currency.is_special() && !is_replaced).then_some(Self(currency))
    }

    /// Returns its three-letter code.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Returns the number of decimals of its minor unit: 2 for the euro, 0 for the yen; 2 if ISO
    /// 4217 defines none.
    pub fn decimals(self) -> u32 {
        self.0.exponent().map_or(2, u32::from)
    }

    /// Rounds an amount to the minor unit and gives it that number of decimals.
    pub fn round(self, amount: Decimal) -> Result<Decimal, TooLarge> {
        let decimals = self.decimals();
        let mut rounded =
            amount.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero);
        rounded.rescale(decimals);
        // Fewer decimals remain if the digits have no room for them.
        if rounded.scale() == decimals { Ok(rounded) } else { Err(TooLarge) }
    }
}

/// The parts of a line that determine the totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PricedLine {
    /// The quantity.
    pub quantity: Decimal,
    /// Price per unit before tax.
    pub unit_price: Decimal,
    /// VAT rate in percent.
    pub vat_rate: Decimal,
}

/// The tax of one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateTotal {
    /// Rate in percent.
    pub rate: Decimal,
    /// Sum of the nets of its lines.
    pub base: Decimal,
    /// The tax.
    pub amount: Decimal,
}

/// The totals of a list of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// The net of each line, in their order.
    pub line_nets: Vec<Decimal>,
    /// Sum before tax.
    pub net: Decimal,
    /// The tax per rate, lowest rate first.
    pub vat: Vec<RateTotal>,
    /// Sum of the taxes.
    pub vat_sum: Decimal,
    /// Sum to be paid.
    pub total: Decimal,
}

/// The amount exceeds the 28 digits that can be computed exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the total exceeds the 28 digits that can be computed exactly")]
pub struct TooLarge;

/// Computes the totals of lines in one currency.
pub fn totals(lines: &[PricedLine], currency: Currency) -> Result<Totals, TooLarge> {
    let nothing = currency.round(Decimal::ZERO)?;
    let mut line_nets = Vec::with_capacity(lines.len());
    let mut bases: BTreeMap<Decimal, Decimal> = BTreeMap::new();
    for line in lines {
        let exact = exact::product(line.quantity, line.unit_price).ok_or(TooLarge)?;
        let net = currency.round(exact)?;
        let base = bases.entry(line.vat_rate.normalize()).or_insert(nothing);
        *base = exact::sum(*base, net).ok_or(TooLarge)?;
        line_nets.push(net);
    }
    let mut totals = Totals {
        line_nets,
        net: nothing,
        vat: Vec::with_capacity(bases.len()),
        vat_sum: nothing,
        total: Decimal::ZERO,
    };
    for (rate, base) in bases {
        let percents = exact::product(base, rate).ok_or(TooLarge)?;
        let amount = currency.round(exact::hundredth(percents).ok_or(TooLarge)?)?;
        totals.vat.push(RateTotal { rate, base, amount });
        totals.net = exact::sum(totals.net, base).ok_or(TooLarge)?;
        totals.vat_sum = exact::sum(totals.vat_sum, amount).ok_or(TooLarge)?;
    }
    totals.total = exact::sum(totals.net, totals.vat_sum).ok_or(TooLarge)?;
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn line(quantity: &str, unit_price: &str, vat_rate: &str) -> PricedLine {
        PricedLine {
            quantity: decimal(quantity),
            unit_price: decimal(unit_price),
            vat_rate: decimal(vat_rate),
        }
    }

    fn euro() -> Currency {
        Currency::from_code("EUR").unwrap()
    }

    #[test]
    fn half_a_cent_is_rounded_away_from_zero() {
        assert_eq!(euro().round(decimal("0.005")).unwrap().to_string(), "0.01");
        assert_eq!(euro().round(decimal("-0.005")).unwrap().to_string(), "-0.01");
        assert_eq!(euro().round(decimal("2")).unwrap().to_string(), "2.00");
        let yen = Currency::from_code("JPY").unwrap();
        assert_eq!(yen.round(decimal("2.5")).unwrap().to_string(), "3");
    }

    #[test]
    fn tax_is_rounded_once_per_rate() {
        // Three lines of 0.03 at 20 %: 0.006 each would round to 0.01 three times.
        let lines = [line("1", "0.03", "20"), line("1", "0.03", "20.0"), line("1", "0.03", "20")];
        let totals = totals(&lines, euro()).unwrap();
        assert_eq!(totals.vat.len(), 1);
        assert_eq!(totals.vat_sum.to_string(), "0.02");
        assert_eq!(totals.total.to_string(), "0.11");
    }

    #[test]
    fn rates_are_kept_apart_and_the_sums_agree() {
        let lines = [line("2", "49.90", "20"), line("1.25", "1.1850", "5.5")];
        let totals = totals(&lines, euro()).unwrap();
        assert_eq!(totals.line_nets, [decimal("99.80"), decimal("1.48")]);
        assert_eq!(totals.net, decimal("101.28"));
        assert_eq!(totals.vat.iter().map(|vat| vat.amount).sum::<Decimal>(), totals.vat_sum);
        assert_eq!(totals.total, totals.net + totals.vat_sum);
    }

    #[test]
    fn what_cannot_be_computed_exactly_is_refused() {
        let huge = Decimal::MAX.to_string();
        assert_eq!(totals(&[line(&huge, "10", "20")], euro()), Err(TooLarge));
        // There is no room for the decimals.
        assert_eq!(euro().round(Decimal::MAX), Err(TooLarge));
        assert_eq!(totals(&[line(&huge, "1", "0")], euro()), Err(TooLarge));
        // `rust_decimal` would round these: the product to 28 digits, then half a cent up.
        let third = "0.3333333333333333333333333333";
        assert_eq!(totals(&[line(third, "0.015", "20")], euro()), Err(TooLarge));
        assert_eq!(totals(&[line("1", "0.07", third)], euro()), Err(TooLarge));
    }

    #[test]
    fn new_business_is_done_in_currencies_that_are_in_use() {
        for code in ["EUR", "JPY", "KWD", "XAF", "XOF", "XPF", "XCD", "VES", "ZWG", "SLE"] {
            assert!(Currency::in_use(code).is_some(), "{code}");
        }
        for code in ["XXX", "XTS", "XAU", "XAG", "XDR", "XSU", "HRK", "ZWL", "SLL", "CUC", "BGN"] {
            assert_eq!(Currency::in_use(code), None, "{code}");
            assert!(Currency::from_code(code).is_some(), "what is recorded in {code} is readable");
        }
    }

    #[test]
    fn unknown_codes_are_no_currencies() {
        assert_eq!(Currency::from_code("EURO"), None);
        assert_eq!(Currency::from_code("eur"), None);
    }
}
