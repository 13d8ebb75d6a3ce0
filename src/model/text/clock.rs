//! `strftime` of Python's `datetime.now()`, for templates that name the day.

use jiff::civil::DateTime;

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The time of this machine's zone.
pub(super) fn now() -> DateTime {
    jiff::Zoned::now().datetime()
}

/// `time` by a format of C's `strftime` in the C locale, with glibc's flags; an error names a
/// directive that is not known.
pub(super) fn strftime(format: &str, time: &DateTime) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut directive = rest.next();
        let flag = directive.filter(|c| "-_0^".contains(*c));
        if flag.is_some() {
            directive = rest.next();
        }
        let directive = directive.ok_or("strftime: a lone % at the end")?;
        write(directive, flag, time, &mut out)?;
    }
    Ok(out)
}

fn write(
    directive: char,
    flag: Option<char>,
    time: &DateTime,
    out: &mut String,
) -> Result<(), String> {
    let (day, month) = (
        DAYS[(time.weekday().to_monday_one_offset() - 1) as usize],
        MONTHS[(time.month() - 1) as usize],
    );
    let text = |out: &mut String, text: &str| {
        let upper = flag == Some('^');
        out.push_str(&if upper {
            text.to_uppercase()
        } else {
            text.to_owned()
        });
    };
    let mut number =
        |value: i64, width: usize, pad: char| out.push_str(&padded(value, width, pad, flag));
    let hour = i64::from(time.hour());
    let half = if hour % 12 == 0 { 12 } else { hour % 12 };
    let (year, of_year) = (i64::from(time.year()), i64::from(time.day_of_year()));
    let monday = i64::from(time.weekday().to_monday_zero_offset());
    match directive {
        'd' => number(time.day().into(), 2, '0'),
        'e' => number(time.day().into(), 2, ' '),
        'm' => number(time.month().into(), 2, '0'),
        'Y' => number(year, 1, '0'),
        'y' => number(year.rem_euclid(100), 2, '0'),
        'C' => number(year.div_euclid(100), 2, '0'),
        'G' => number(time.date().iso_week_date().year().into(), 1, '0'),
        'V' => number(time.date().iso_week_date().week().into(), 2, '0'),
        'U' => number((of_year + 6 - (monday + 1) % 7) / 7, 2, '0'),
        'W' => number((of_year + 6 - monday) / 7, 2, '0'),
        'j' => number(of_year, 3, '0'),
        'H' => number(hour, 2, '0'),
        'k' => number(hour, 2, ' '),
        'I' => number(half, 2, '0'),
        'l' => number(half, 2, ' '),
        'M' => number(time.minute().into(), 2, '0'),
        'S' => number(time.second().into(), 2, '0'),
        'f' => number((time.subsec_nanosecond() / 1000).into(), 6, '0'),
        'u' => number(monday + 1, 1, '0'),
        'w' => number((monday + 1) % 7, 1, '0'),
        'a' => text(out, &day[..3]),
        'A' => text(out, day),
        'b' | 'h' => text(out, &month[..3]),
        'B' => text(out, month),
        'p' => text(out, if hour < 12 { "AM" } else { "PM" }),
        'P' => out.push_str(if hour < 12 { "am" } else { "pm" }),
        // A time without a zone has neither.
        'z' | 'Z' => {}
        'n' => out.push('\n'),
        't' => out.push('\t'),
        '%' => out.push('%'),
        'D' | 'x' => out.push_str(&strftime("%m/%d/%y", time)?),
        'F' => out.push_str(&strftime("%Y-%m-%d", time)?),
        'R' => out.push_str(&strftime("%H:%M", time)?),
        'T' | 'X' => out.push_str(&strftime("%H:%M:%S", time)?),
        'r' => out.push_str(&strftime("%I:%M:%S %p", time)?),
        'c' => out.push_str(&strftime("%a %b %e %H:%M:%S %Y", time)?),
        other => return Err(format!("strftime: the directive %{other} is not known")),
    }
    Ok(())
}

fn padded(value: i64, width: usize, usual: char, flag: Option<char>) -> String {
    let digits = value.to_string();
    let missing = width.saturating_sub(digits.len());
    match flag {
        Some('-') => digits,
        Some('_') => " ".repeat(missing) + &digits,
        Some('0') => "0".repeat(missing) + &digits,
        _ => usual.to_string().repeat(missing) + &digits,
    }
}
