//! `strftime` of Python's `datetime.now()`, for templates that name the day: glibc's, in the C locale,
//! which Python asks after it has put in microseconds and the zone itself.

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

/// Returns the time of this machine's zone.
pub(super) fn now() -> DateTime {
    jiff::Zoned::now().datetime()
}

/// Returns `time` by a format of strftime's. What is no directive stays as it stands, as glibc leaves
/// it.
///
/// # Errors
///
/// Refuses `%s`, seconds since 1970 by the zone of the machine: a record could not repeat them
/// elsewhere.
pub(super) fn strftime(format: &str, time: &DateTime) -> Result<String, String> {
    let format = with_own_directives(format, time);
    // Python asks with room for 1,024 characters, then for twice as many, and stops here; a text that
    // does not fit is empty.
    let mut room = 1024;
    // CPython's `time_strftime`: it cannot tell "does not fit" from "is empty", and gives up here.
    while room < 256 * format.len() {
        room *= 2;
    }
    let mut out = String::new();
    let (mut at, mut length) = (0, 0);
    while let Some(&c) = format.get(at) {
        at += 1;
        let from = out.len();
        if c == '%' {
            let directive = Directive::parse(&format, &mut at);
            // An offset that is not there has no width either.
            // Checked before it is padded: a width of 10^9 would be allocated.
            if directive.width >= room && directive.letter != Some('z') {
                return Ok(String::new());
            }
            directive.write(time, &mut out)?;
        } else {
            out.push(c);
        }
        length += out[from..].chars().count();
        if length >= room {
            return Ok(String::new());
        }
    }
    Ok(out)
}

/// Puts in what Python does not leave to glibc: microseconds, and the zone, which a time without one
/// does not have. A flag before these is not Python's, and glibc knows no `%f`.
fn with_own_directives(format: &str, time: &DateTime) -> Vec<char> {
    let mut out = Vec::with_capacity(format.len());
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('f') => out.extend(format!("{:06}", time.subsec_nanosecond() / 1000).chars()),
            // `datetime.now()` is naive, and Python puts in an empty text itself.
            Some('z' | 'Z') => {}
            other => out.extend([Some(c), other].into_iter().flatten()),
        }
    }
    out
}

/// One directive: `%`, flags, a width, a modifier, and a letter.
struct Directive<'a> {
    /// All of it, from the `%` on.
    text: &'a [char],
    /// The last one of `_`, `-` and `0`.
    pad: Option<char>,
    upper: bool,
    /// The flag `#`.
    swap: bool,
    width: usize,
    modifier: Option<char>,
    /// `None` at the end of the format.
    letter: Option<char>,
}

impl<'a> Directive<'a> {
    /// Parses the directive whose `%` stands before `at`, and moves behind it.
    fn parse(format: &'a [char], at: &mut usize) -> Self {
        let start = *at - 1;
        let mut next = || next_char(format, at);
        let (mut pad, mut upper, mut swap) = (None, false, false);
        let mut c = next();
        loop {
            match c {
                Some('_' | '-' | '0') => pad = c,
                Some('^') => upper = true,
                Some('#') => swap = true,
                _ => break,
            }
            c = next();
        }
        let mut width = 0_usize;
        while let Some(digit) = c.and_then(|c| c.to_digit(10)) {
            // glibc, too, stops at its largest int rather than wrap.
            width = width.saturating_mul(10).saturating_add(digit as usize);
            c = next();
        }
        let modifier = c.filter(|c| matches!(c, 'E' | 'O'));
        if modifier.is_some() {
            c = next();
        }
        Self {
            text: &format[start..*at],
            pad,
            upper,
            swap,
            width,
            modifier,
            letter: c,
        }
    }

    /// Writes what it says of `time`.
    fn write(&self, time: &DateTime, out: &mut String) -> Result<(), String> {
        let Some(letter) = self.letter.filter(|letter| self.allows(*letter)) else {
            self.unknown(out);
            return Ok(());
        };
        if letter == 's' {
            let message = "strftime: %s is of the machine's zone, and a record could not repeat it";
            return Err(message.into());
        }
        if let Some((value, digits, spaced)) = number(letter, time) {
            self.number(value, digits, spaced, out);
        } else if let Some(format) = composed(letter) {
            // The recursion is one deep: no composed format holds a composed letter.
            let text = strftime(format, time)?;
            self.text(&text, self.upper, out);
        } else {
            self.word(letter, time, out);
        }
        Ok(())
    }

    /// Tells whether glibc takes the modifier before `letter`; in the C locale it changes nothing.
    fn allows(&self, letter: char) -> bool {
        match self.modifier {
            None => true,
            Some('E') => !"aAbBdDeFgGhHIjklmMSUVwW".contains(letter),
            Some(_) => !"aAcDFxXY".contains(letter),
        }
    }

    fn number(&self, value: i64, digits: usize, spaced: bool, out: &mut String) {
        let digits = digits.max(self.width);
        let value = value.to_string();
        let missing = digits.saturating_sub(value.len());
        let fill = match self.pad {
            // The width is kept, in spaces.
            Some('-') => " ".repeat(self.width.saturating_sub(value.len())),
            Some('_') => " ".repeat(missing),
            None if spaced => " ".repeat(missing),
            _ => "0".repeat(missing),
        };
        out.push_str(&fill);
        out.push_str(&value);
    }

    /// Writes `text` as wide as asked.
    fn text(&self, text: &str, upper: bool, out: &mut String) {
        let missing = self.width.saturating_sub(text.chars().count());
        let fill = if self.pad == Some('0') { "0" } else { " " };
        out.push_str(&fill.repeat(missing));
        if upper {
            out.extend(text.chars().flat_map(char::to_uppercase));
        } else {
            out.push_str(text);
        }
    }

    fn word(&self, letter: char, time: &DateTime, out: &mut String) {
        let day = DAYS[usize::from(time.weekday().to_monday_zero_offset().unsigned_abs())];
        let month = MONTHS[usize::from(time.month().unsigned_abs()) - 1];
        let upper = self.upper || self.swap;
        let half = if time.hour() < 12 { "AM" } else { "PM" };
        match letter {
            'a' => self.text(&day[..3], upper, out),
            'A' => self.text(day, upper, out),
            'b' | 'h' => self.text(&month[..3], upper, out),
            'B' => self.text(month, upper, out),
            // `#` makes small letters here, and wins over `^`.
            'p' if !self.swap => self.text(half, false, out),
            'p' | 'P' => self.text(&half.to_lowercase(), false, out),
            // A zone has no name where there is none; its offset has no width either.
            'Z' => self.text("", false, out),
            'z' => {}
            'n' => self.text("\n", false, out),
            't' => self.text("\t", false, out),
            '%' => self.text("%", false, out),
            _ => self.unknown(out),
        }
    }

    /// Writes the directive as it stands; where a `%` ends it, glibc looks no further back.
    fn unknown(&self, out: &mut String) {
        let from = self.text.iter().rposition(|c| *c == '%').unwrap_or(0);
        let text: String = self.text[from..].iter().collect();
        self.text(&text, self.upper, out);
    }
}

/// Returns the number that a directive says, its digits, and whether spaces stand before it.
fn number(letter: char, time: &DateTime) -> Option<(i64, usize, bool)> {
    let hour = i64::from(time.hour());
    // Noon and midnight are 12.
    let half = if hour % 12 == 0 { 12 } else { hour % 12 };
    let (year, of_year) = (i64::from(time.year()), i64::from(time.day_of_year()));
    let monday = i64::from(time.weekday().to_monday_zero_offset());
    let week = time.date().iso_week_date();
    Some(match letter {
        'd' => (time.day().into(), 2, false),
        'e' => (time.day().into(), 2, true),
        'm' => (time.month().into(), 2, false),
        // glibc pads no year: that of 999 has three digits.
        'Y' => (year, 1, false),
        'y' => (year.rem_euclid(100), 2, false),
        'C' => (year.div_euclid(100), 1, false),
        'G' => (week.year().into(), 1, false),
        'g' => (i64::from(week.year()).rem_euclid(100), 2, false),
        'V' => (week.week().into(), 2, false),
        // C's `(yday + 7 - wday) / 7`, in which days of the year count from 0; `W` begins weeks on
        // Monday.
        'U' => ((of_year + 6 - (monday + 1) % 7) / 7, 2, false),
        'W' => ((of_year + 6 - monday) / 7, 2, false),
        'j' => (of_year, 3, false),
        'H' => (hour, 2, false),
        'k' => (hour, 2, true),
        'I' => (half, 2, false),
        'l' => (half, 2, true),
        'M' => (time.minute().into(), 2, false),
        'S' => (time.second().into(), 2, false),
        'u' => (monday + 1, 1, false),
        'w' => ((monday + 1) % 7, 1, false),
        _ => return None,
    })
}

/// Returns the format that a directive stands for.
fn composed(letter: char) -> Option<&'static str> {
    Some(match letter {
        'D' | 'x' => "%m/%d/%y",
        'F' => "%Y-%m-%d",
        'R' => "%H:%M",
        'T' | 'X' => "%H:%M:%S",
        'r' => "%I:%M:%S %p",
        'c' => "%a %b %e %H:%M:%S %Y",
        _ => return None,
    })
}

/// Returns the character at a place, and moves behind it.
fn next_char(format: &[char], at: &mut usize) -> Option<char> {
    let c = format.get(*at).copied();
    *at += usize::from(c.is_some());
    c
}

#[cfg(test)]
mod tests {
    use jiff::civil::datetime;

    use super::*;

    /// Formats with what Python 3.11 makes of them on Linux, at two times.
    const PYTHON: [(&str, &str, &str); 23] = [
        (
            "%A %-d %B %Y",
            "Tuesday 5 March 2024",
            "Friday 1 January 2027",
        ),
        ("%d %b %Y", "05 Mar 2024", "01 Jan 2027"),
        (
            "%e|%_d|%-e|%k|%l|%j|%-j|%I %p %P",
            " 5| 5|5| 7| 7|065|65|07 AM am",
            " 1| 1|1|13| 1|001|1|01 PM pm",
        ),
        (
            "%y %C %G %g %V %U %W %u %w",
            "24 20 2024 24 10 09 10 2 2",
            "27 20 2026 26 53 00 00 5 5",
        ),
        ("%H:%M:%S.%f", "07:08:09.123456", "13:59:00.000007"),
        (
            "%D %F %R %T %x %X %r",
            "03/05/24 2024-03-05 07:08 07:08:09 03/05/24 07:08:09 07:08:09 AM",
            "01/01/27 2027-01-01 13:59 13:59:00 01/01/27 13:59:00 01:59:00 PM",
        ),
        ("%c", "Tue Mar  5 07:08:09 2024", "Fri Jan  1 13:59:00 2027"),
        (
            "%a %h %^a %^B %#b %#p %^P",
            "Tue Mar TUE MARCH MAR am am",
            "Fri Jan FRI JANUARY JAN pm pm",
        ),
        ("[%z%Z]%n%t%%", "[]\n\t%", "[]\n\t%"),
        (
            "%10d|%_5d|%-5d|%010d|%10A|%010a|%^10b|%-3m",
            "0000000005|    5|    5|0000000005|   Tuesday|0000000Tue|       MAR|  3",
            "0000000001|    1|    1|0000000001|    Friday|0000000Fri|       JAN|  1",
        ),
        (
            "%Ey %EY %Od %Ob %Ep",
            "24 2024 05 Mar AM",
            "27 2027 01 Jan PM",
        ),
        (
            "%Q %-Q %_10Q %^q %010v",
            "%Q %-Q      %_10Q %^Q 00000%010v",
            "%Q %-Q      %_10Q %^Q 00000%010v",
        ),
        ("%Ed %Oc %EE %E%", "%Ed %Oc %EE %", "%Ed %Oc %EE %"),
        ("100%", "100%", "100%"),
        ("%", "%", "%"),
        ("%-", "%-", "%-"),
        ("%5", "   %5", "   %5"),
        ("%%f %-f %^f", "%f %-f %^F", "%f %-f %^F"),
        ("%é", "%é", "%é"),
        ("%+d %:z", "%+d %:z", "%+d %:z"),
        ("%z%5Z|%99999z|", "     ||", "     ||"),
        ("%9999d", "", ""),
        ("%99999999999A", "", ""),
    ];

    #[test]
    fn times_read_as_in_python() {
        let spring = datetime(2024, 3, 5, 7, 8, 9, 123_456_000);
        let new_year = datetime(2027, 1, 1, 13, 59, 0, 7_000);
        for (format, first, second) in PYTHON {
            let both = [spring, new_year].map(|time| strftime(format, &time));
            assert_eq!(both, [first, second].map(|t| Ok(t.to_owned())), "{format}");
        }
        assert!(strftime("%s", &spring).unwrap_err().contains("zone"));
    }
}
