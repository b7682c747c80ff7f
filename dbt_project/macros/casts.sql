{#
Casts of a shop's texts. Each cast returns null where the text is not such a value; none fails. The
most common form is tested first, with the cheapest test, so that rare forms cost only shops that
write them.

Patterns spell out digits and blanks: what \d and \s match depends on the locale, and the cast
accepts only these. Spreadsheets and R write 100000 as 1e+05.
#}

{% macro as_whole_number(text) -%}
    case
        when {{ text }} ~ '^[ \t\r\n]*[+-]?[0-9]{1,9}(\.0*)?[ \t\r\n]*$' then {{ text }}::numeric::integer
        when {{ text }} ~ '^[ \t\r\n]*[+-]?[0-9](\.[0-9]{1,8})?[eE]\+?0?[0-8][ \t\r\n]*$'
            then case when mod({{ text }}::numeric, 1) = 0 then {{ text }}::numeric::integer end
    end
{%- endmacro %}


{#
A number with at most 15 digits before the point (or before an exponent up to 9). More than 18
decimals, as in quotients of floats, are rounded to 18. Groups of thousands and a decimal comma are
read where they are unambiguous, as in 1,899.00, 1.899,00, 1 899,00 and 12,50. 1,899 is ambiguous,
so it gives null.
#}
{% macro as_number(text) -%}
    case
        when octet_length({{ text }}) <= 15 and {{ text }} ~ '^-?[0-9]+(\.[0-9]*)?$' then {{ text }}::numeric
        when octet_length({{ text }}) <= 80 then {{ as_rare_number("btrim(" ~ text ~ ", E' \\t\\r\\n')") }}
    end
{%- endmacro %}


{% macro as_rare_number(text) -%}
    case
        when {{ text }} ~ '^[+-]?([0-9]{1,15}(\.[0-9]*)?|\.[0-9]+)([eE](\+?0?[0-9]|-[0-9]{1,2}))?$'
            then trim_scale(round({{ text }}::numeric, 18))
        -- 1,899.00 and 1,234,567
        when {{ text }} ~ '^[+-]?[1-9][0-9]{0,2}((,[0-9]{3}){1,4}\.[0-9]+|(,[0-9]{3}){2,4})$'
            then trim_scale(round(replace({{ text }}, ',', '')::numeric, 18))
        -- 1.899,00 and 1.234.567
        when {{ text }} ~ '^[+-]?[1-9][0-9]{0,2}((\.[0-9]{3}){1,4},[0-9]+|(\.[0-9]{3}){2,4})$'
            then trim_scale(round(translate({{ text }}, ',.', '.')::numeric, 18))
        -- 1 899.00, 1'899.00, 1 899,00: blanks of any width
        when {{ text }} ~ E'^[+-]?[1-9][0-9]{0,2}([ ''\u2019\u00a0\u2009\u202f][0-9]{3}){1,4}([.,][0-9]+)?$'
            then trim_scale(round(translate({{ text }}, E', ''\u2019\u00a0\u2009\u202f', '.')::numeric, 18))
        -- 12,50 and 0,750 and 1234,567: cannot be groups of thousands
        when {{ text }} ~ '^[+-]?([0-9]{1,3},([0-9]{1,2}|[0-9]{4,})|(0|[0-9]{4,15}),[0-9]+)$'
            then trim_scale(round(replace({{ text }}, ',', '.')::numeric, 18))
    end
{%- endmacro %}


{% macro as_date(text) -%}
    case
        when {{ text }} ~ '^[ \t\r\n]*[0-9]{4}-[0-9]{2}-[0-9]{2}[ \t\r\n]*$' and pg_input_is_valid({{ text }}, 'date')
            then {{ text }}::date
    end
{%- endmacro %}


{#
timestamptz of an ISO date, or date and time; without an offset, in the shop's time zone. 2024/05/01
is read as a date too, and 10:00 PM as 22:00. A zone may be an offset, Z, UTC or GMT; other names
(CET, Asia/Tokyo) are ambiguous. Postgres validates the text, not a pattern: that is faster, and
rejects the 30th of February.
#}
{% macro as_shop_time(text) -%}
    case
        when {{ text }} like '____-__-__%' then {{ as_iso_time(text) }}
        when {{ is_rare_date(text) }} then {{ as_iso_time(with_hyphens(text)) }}
    end
{%- endmacro %}


{% macro as_iso_time(text) -%}
    case
        when translate(substr({{ text }}, 11), '0123456789:. T', '') = ''
            then case when pg_input_is_valid({{ text }}, 'timestamp')
                then {{ text }}::timestamp at time zone '{{ var("time_zone") }}'
            end
        when {{ text }} ~ '[0-9:. ](Z|z|[+-][0-9]{2}(:?[0-9]{2})?)[ \t\r\n]*$'
            or {{ text }} ~* ':[0-9]{2}(\.[0-9]+)?( ?[ap]m)? ?(utc|gmt)[ \t\r\n]*$'
            then case when pg_input_is_valid({{ text }}, 'timestamptz') then {{ text }}::timestamptz end
        when {{ text }} ~* ':[0-9]{2}(\.[0-9]+)? ?[ap]m[ \t\r\n]*$'
            then case when pg_input_is_valid({{ text }}, 'timestamp')
                then {{ text }}::timestamp at time zone '{{ var("time_zone") }}'
            end
    end
{%- endmacro %}


{# True if the text begins with a date as 2024/05/01, or with blanks and a date. #}
{% macro is_rare_date(text) -%}
    {{ text }} ~ '^[ \t]*[0-9]{4}([-/])[0-9]{2}\1[0-9]{2}'
{%- endmacro %}


{% macro with_hyphens(text) -%}
    translate(ltrim({{ text }}, E' \t'), '/', '-')
{%- endmacro %}


{#
Time of an order; null before 1990, when no shop sold online, and after the file was landed (with a
day of tolerance for time zones). Systems write 1900 or 9999 for an unknown date, and one such order
would stretch the shop's calendar over centuries.
#}
{% macro as_order_time(text) -%}
    case
        when {{ text }} like '____-__-__%'
            then case when {{ is_no_order_day(text) }} then null else {{ as_iso_time(text) }} end
        when {{ is_rare_date(text) }}
            then case when {{ is_no_order_day(with_hyphens(text)) }} then null else {{ as_iso_time(with_hyphens(text)) }} end
    end
{%- endmacro %}


{% macro is_no_order_day(text) -%}
    {{ text }} collate "C" < '1990-01-01'
    or {{ text }} collate "C" >= to_char(_loaded_at + interval '2 days', 'YYYY-MM-DD')
{%- endmacro %}


{#
An id without outer blanks; empty if there is none. An id too long for an index is cut, but stays
too long (`is_too_long`). A whole number has one form: 17.0 and 17 are one id, as are 1e+05 and
100000, because columns with gaps pass through floats. From 12 digits on spreadsheets write
4.50001E+11 for a million different ids: such a text is not changed, and the raw gate counts it
(`is_rounded_id`). perennial/ids.py has the same rules in Python.
#}
{% macro as_id(text) -%}
    case
        when {{ text }} is null then ''
        when {{ text }} not like '%.%' and {{ text }} not like '%+%' then left(trim({{ text }}), 201)
        when {{ text }} ~ '^ *-?[0-9]+\.0* *$' then left(split_part(trim({{ text }}), '.', 1), 201)
        when {{ text }} ~ '^ *[1-9](\.[0-9]{1,10})?[eE]\+(0?[0-9]|10) *$'
            then case when mod({{ text }}::numeric, 1) = 0
                then trunc({{ text }}::numeric)::text else trim({{ text }})
            end
        else left(trim({{ text }}), 201)
    end
{%- endmacro %}


{# True if a spreadsheet has cut digits of the id, so that many ids have become one. #}
{% macro is_rounded_id(text) -%}
    ({{ text }} like '%+%' and {{ as_id(text) }} ~ '^-?[0-9](\.[0-9]+)?[eE]\+[0-9]{1,3}$')
{%- endmacro %}


{#
A customer's id; null for a guest, whom systems without nulls write as one of these words. A guest's
0 or -1 could also be a customer's id: a source with a list of customers looks an id up in the list
before `is_guest_code`.
#}
{% macro as_customer_id(text) -%}
    case
        when {{ begins_with_digit(text) }} then {{ as_id(text) }}
        when octet_length({{ text }}) <= 9 and lower(trim({{ text }})) in ({{ words_for_nothing() }}, 'na', 'undefined') then null
        else nullif({{ as_id(text) }}, '')
    end
{%- endmacro %}


{# True for an id of zeros only (a nil UUID too), for -1, and for a word that means a guest. #}
{% macro is_guest_code(id) -%}
    (
        left({{ id }}, 1) in ('0', '-', 'g', 'G', 'a', 'A', 'u', 'U', ' ')
        and lower(trim({{ id }})) ~ '^(([0-]*0[0-]*|-1)(\.0*)?|guest|anonymous|unknown)$'
    )
{%- endmacro %}


{% macro begins_with_digit(text) -%}
    ({{ text }} collate "C" >= '0' and {{ text }} collate "C" < ':')
{%- endmacro %}


{# Texts that programs write for a missing value. Not NA, which may be Namibia. #}
{% macro words_for_nothing() -%}
    '\n', 'null', 'nan', 'nat', 'none', 'n/a', '#n/a', '<na>', '<null>', '(null)'
{%- endmacro %}


{# A text without outer blanks; null if empty or one of the texts for a missing value. #}
{% macro as_text(text) -%}
    case
        when octet_length({{ text }}) <= 6 and not {{ begins_with_digit(text) }} and lower(trim({{ text }})) in ({{ words_for_nothing() }}) then null
        else nullif(trim({{ text }}), '')
    end
{%- endmacro %}


{# True for the types of an order that was cancelled as a whole. #}
{% macro is_cancelled(order_type) -%}
    {{ order_type }} in ('cancelled', 'canceled', 'void', 'voided', 'deleted')
{%- endmacro %}


{% macro is_too_long(id) -%}
    length({{ id }}) > 200
{%- endmacro %}


{# True for an amount larger than any line of a shop; sums of such amounts would overflow. #}
{% macro is_absurd(amount) -%}
    abs({{ amount }}) >= 10000000000
{%- endmacro %}


{# Date in the shop's time zone. #}
{% macro shop_date(timestamptz) -%}
    ({{ timestamptz }} at time zone '{{ var("time_zone") }}')::date
{%- endmacro %}
