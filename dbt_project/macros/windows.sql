{#
Windows of a customer's days before a date, for features.customer_snapshots: a row of `days` is a day on which the customer
ordered or was refunded, a row of `dates` a date that features are made for. Days on or after the date are not in `days`.
#}

{% macro in_last_days(count_days) -%}
    days.day_date >= dates.as_of_date - {{ count_days }}
{%- endmacro %}


{# The 90 days a year ago that the next 90 days are the season of. #}
{% macro in_season_last_year() -%}
    {{ in_last_days(365) }} and days.day_date < dates.as_of_date - 365 + 90
{%- endmacro %}


{# Sum of a column over the last days; null where there was none. #}
{% macro sum_of_days(column, count_days) -%}
    sum(days.{{ column }}) filter (where {{ in_last_days(count_days) }})
{%- endmacro %}


{#
Sums of a column as features of one name: over all days, the last 30, 90, 180 and 365, and the season last year.
`form` turns a sum, null where there was no day, into the feature.
#}
{% macro sums_by_window(column, feature, form) -%}
    {{ form | format('sum(days.' ~ column ~ ')') }} as {{ feature }},
    {%- for n in [30, 90, 180, 365] %}
        {{ form | format(sum_of_days(column, n)) }} as {{ feature }}_{{ n }}d,
    {%- endfor %}
        {{ form | format('sum(days.' ~ column ~ ') filter (where ' ~ in_season_last_year() ~ ')') }}
            as {{ feature }}_season_last_year
{%- endmacro %}


{# Calendar months with an order in the last 365 days, which touch at most 13 of them: a bit a month. #}
{% macro count_active_months_of_year() -%}
    bit_count(
            bit_or(
                1 << (
                    extract(year from days.day_date) * 12 + extract(month from days.day_date)
                )::integer % 16
            ) filter (where days.count_orders > 0 and {{ in_last_days(365) }})::bit(16)
        )
{%- endmacro %}


{# Whether a row of int_customer_days is the customer's next order day: the one on or after a date whose previous one is before it. #}
{% macro is_next_order_day(days, date) -%}
    {{ date }} <= {{ days }}.day_date
        and {{ date }} > {{ days }}.day_date - {{ days }}.days_since_previous_order_day
{%- endmacro %}
