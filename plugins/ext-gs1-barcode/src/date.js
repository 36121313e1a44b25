// Dates of codes, which have years of two digits.

// The year of two digits that is nearest to this year: at most 49 years back, or 50 ahead (GS1 General
// Specifications, 7.12).
function fullYear(twoDigits, thisYear) {
  const century = thisYear - (thisYear % 100);
  const ahead = twoDigits - (thisYear % 100);
  if (ahead >= 51) return century - 100 + twoDigits;
  if (ahead <= -50) return century + 100 + twoDigits;
  return century + twoDigits;
}

function daysOf(year, month) {
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  return [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
}

// `YYMMDD` as `2027-02-28`, undefined for a day that does not exist. The day 00 is the last one of the
// month, where `dayMayBeOpen`.
export function dateOf(digits, today, dayMayBeOpen) {
  const year = fullYear(Number(digits.slice(0, 2)), Number(today.slice(0, 4)));
  const month = Number(digits.slice(2, 4));
  if (month < 1 || month > 12) return undefined;
  const last = daysOf(year, month);
  let day = Number(digits.slice(4, 6));
  if (day === 0 && dayMayBeOpen) day = last;
  if (day < 1 || day > last) return undefined;
  return `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
}

// `HH`, `HHMM` or `HHMMSS` as `14:30`, undefined for a time that does not exist.
export function timeOf(digits) {
  const parts = digits.match(/../g) ?? [];
  const [hour, minute = '00', second = '00'] = parts;
  const exists = digits.length % 2 === 0 && Number(hour) < 24 && Number(minute) < 60 && Number(second) < 60;
  return exists ? [hour, minute, ...parts.slice(2)].join(':') : undefined;
}
