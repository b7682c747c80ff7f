{# Casts of what a shop wrote, as text. Each gives null where the text is no such value; none of them fails. #}

{% macro as_whole_number(text) -%}
    case when {{ text }} ~ '^\s*[+-]?\d{1,9}(\.0*)?\s*$' then {{ text }}::numeric::integer end
{%- endmacro %}


{% macro as_number(text) -%}
    case when {{ text }} ~ '^\s*[+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})\s*$' then {{ text }}::numeric end
{%- endmacro %}


{% macro as_date(text) -%}
    case
        when {{ text }} ~ '^\s*\d{4}-\d{2}-\d{2}\s*$' and pg_input_is_valid({{ text }}, 'date')
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
        when pg_input_is_valid({{ text }}, 'timestamptz') then {{ text }}::timestamptz
    end
{%- endmacro %}


{# Day in the shop's time zone. #}
{% macro shop_date(timestamptz) -%}
    ({{ timestamptz }} at time zone '{{ var("time_zone") }}')::date
{%- endmacro %}
