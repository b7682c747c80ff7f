{#
Casts of what a shop wrote, as text. Each gives null where the text is no such value; none of them fails. What nearly
all values look like is tried first, by the cheapest test that tells it; other forms cost only those who write them.

Digits are spelled out: what else a pattern's \d and \s match depends on the locale, and the cast after it knows
only these. Spreadsheets and R write 100000 as 1e+05.
#}

{% macro as_whole_number(text) -%}
    case
        when {{ text }} ~ '^[ \t\r\n]*[+-]?[0-9]{1,9}(\.0*)?[ \t\r\n]*$' then {{ text }}::numeric::integer
        when {{ text }} ~ '^[ \t\r\n]*[+-]?[0-9](\.[0-9]{1,8})?[eE]\+?0?[0-8][ \t\r\n]*$'
            then case when mod({{ text }}::numeric, 1) = 0 then {{ text }}::numeric::integer end
    end
{%- endmacro %}


{#
A number of at most 15 digits before the point (or before an exponent up to 9). More than 18 decimals, as in quotients of floats,
are rounded to 18. Groups of thousands and a decimal comma are read where they can mean one thing: 1,899.00 and 1.899,00 and
1 899,00 and 12,50 can; 1,899 may be either number, so it is null.
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
        -- 12,50 and 0,750 and 1234,567: no group of thousands looks like it
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
ISO date, or date and time; without an offset it is the shop's time. Gives timestamptz. 2024/05/01 is a date, too, and
22:00 may be written as 10:00 PM; a zone is an offset, Z, UTC or GMT: other names (CET, Asia/Tokyo) mean this or that.
Postgres is asked rather than a pattern: it is quicker, and knows that there is no 30th of February.
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


{# Whether it begins with a date as 2024/05/01, or has blanks before it. #}
{% macro is_rare_date(text) -%}
    {{ text }} ~ '^[ \t]*[0-9]{4}([-/])[0-9]{2}\1[0-9]{2}'
{%- endmacro %}


{% macro with_hyphens(text) -%}
    translate(ltrim({{ text }}, E' \t'), '/', '-')
{%- endmacro %}


{#
When an order was placed: no shop sold online before 1990, and nobody orders after the file was landed (a day is
left for time zones). Systems write 1900 or 9999 for a date that they don't know, and one such order would
stretch the shop's calendar over centuries.
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
An id without outer blanks, empty if there is none. Of one too long for an index so much that this can be seen.
A whole number is written one way: 17.0 and 17 are one id, as are 1e+05 and 100000, for tables with a gap in them go
through floats. From 12 digits on spreadsheets write 4.50001E+11 for a million different ids: that is left as it is, and
the gate at the door counts it (`is_rounded_id`). perennial/ids.py has the same in Python.
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


{# Whether digits of the id are lost: it stands for many. #}
{% macro is_rounded_id(text) -%}
    ({{ text }} like '%+%' and {{ as_id(text) }} ~ '^-?[0-9](\.[0-9]+)?[eE]\+[0-9]{1,3}$')
{%- endmacro %}


{#
A customer's id; null for a guest, whom systems without a null write as one of these words. What may be somebody's id,
a guest's 0 or -1, `is_guest_code` tells: whoever has a list of customers looks there first.
#}
{% macro as_customer_id(text) -%}
    case
        when {{ begins_with_digit(text) }} then {{ as_id(text) }}
        when octet_length({{ text }}) <= 9 and lower(trim({{ text }})) in ({{ words_for_nothing() }}, 'na', 'undefined') then null
        else nullif({{ as_id(text) }}, '')
    end
{%- endmacro %}


{# Zeros alone (a nil UUID, too), -1, or a word that says it. #}
{% macro is_guest_code(id) -%}
    (
        left({{ id }}, 1) in ('0', '-', 'g', 'G', 'a', 'A', 'u', 'U', ' ')
        and lower(trim({{ id }})) ~ '^(([0-]*0[0-]*|-1)(\.0*)?|guest|anonymous|unknown)$'
    )
{%- endmacro %}


{% macro begins_with_digit(text) -%}
    ({{ text }} collate "C" >= '0' and {{ text }} collate "C" < ':')
{%- endmacro %}


{# What programs write for a missing value. Not NA, which is Namibia, too. #}
{% macro words_for_nothing() -%}
    '\n', 'null', 'nan', 'nat', 'none', 'n/a', '#n/a', '<na>', '<null>', '(null)'
{%- endmacro %}


{# A text without outer blanks; null where nothing, or a word for it, was sent. #}
{% macro as_text(text) -%}
    case
        when octet_length({{ text }}) <= 6 and not {{ begins_with_digit(text) }} and lower(trim({{ text }})) in ({{ words_for_nothing() }}) then null
        else nullif(trim({{ text }}), '')
    end
{%- endmacro %}


{# What an order's type says of one that was taken back as a whole. #}
{% macro is_cancelled(order_type) -%}
    {{ order_type }} in ('cancelled', 'canceled', 'void', 'voided', 'deleted')
{%- endmacro %}


{% macro is_too_long(id) -%}
    length({{ id }}) > 200
{%- endmacro %}


{# More than any line of a shop: sums of such amounts would not fit into their columns. #}
{% macro is_absurd(amount) -%}
    abs({{ amount }}) >= 10000000000
{%- endmacro %}


{# Day in the shop's time zone. #}
{% macro shop_date(timestamptz) -%}
    ({{ timestamptz }} at time zone '{{ var("time_zone") }}')::date
{%- endmacro %}
