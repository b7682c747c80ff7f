{# Casts of what a shop wrote, as text. Each gives null where the text is no such value; none of them fails. #}

{#
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


{% macro as_number(text) -%}
    case
        when {{ text }} ~ '^[ \t\r\n]*[+-]?([0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15})([eE][+-]?0?[0-9])?[ \t\r\n]*$'
            then {{ text }}::numeric
    end
{%- endmacro %}


{% macro as_date(text) -%}
    case
        when {{ text }} ~ '^[ \t\r\n]*[0-9]{4}-[0-9]{2}-[0-9]{2}[ \t\r\n]*$' and pg_input_is_valid({{ text }}, 'date')
            then {{ text }}::date
    end
{%- endmacro %}


{#
ISO date, or date and time; without an offset it is the shop's time. Gives timestamptz.
Postgres is asked rather than a pattern: it is quicker, and knows that there is no 30th of February.
#}
{% macro as_shop_time(text) -%}
    case
        when {{ text }} not like '____-__-__%' then null
        when translate(substr({{ text }}, 11), '0123456789:. T', '') = ''
            then case when pg_input_is_valid({{ text }}, 'timestamp')
                then {{ text }}::timestamp at time zone '{{ var("time_zone") }}'
            end
        -- with an offset, not with AM, PM, BC or the name of a zone
        when {{ text }} ~ '[0-9:. ](Z|z|[+-][0-9]{2}(:?[0-9]{2})?)[ \t\r\n]*$'
            and pg_input_is_valid({{ text }}, 'timestamptz')
            then {{ text }}::timestamptz
    end
{%- endmacro %}


{#
When an order was placed: no shop sold online before 1990, and nobody orders after the file was landed (a day is
left for time zones). Systems write 1900 or 9999 for a date that they don't know, and one such order would
stretch the shop's calendar over centuries.
#}
{% macro as_order_time(text) -%}
    case
        when left({{ text }}, 10) collate "C" < '1990-01-01' then null
        when left({{ text }}, 10) collate "C" > to_char(_loaded_at + interval '1 day', 'YYYY-MM-DD') then null
        else {{ as_shop_time(text) }}
    end
{%- endmacro %}


{# An id without outer blanks, empty if there is none. Of one too long for an index so much that this can be seen. #}
{% macro as_id(text) -%}
    left(trim(coalesce({{ text }}, '')), 201)
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
